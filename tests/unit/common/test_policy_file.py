"""Policies on disk: what is written comes back, and nothing altered does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from common.config import Config, NetworkConfig
from common.errors import ConfigError, CorruptError
from common.game_config import GameConfig
from common.game_spec import GameSpec
from common.network import network_for
from common.policy_file import (
    SEAL,
    STATE,
    WEIGHTS,
    link_folder,
    load_policy,
    read_folder,
    save_policy,
    seal,
    write_folder,
)

SPEC = GameSpec(2, 11, 9, 4, 5, (1.0, 2.0, 3.0, 4.0))
CONFIG = Config(network=NetworkConfig(feature_hidden=7, hidden=5, cosine_dim=3))


def saved(folder: Path) -> Path:
    torch.manual_seed(0)
    network = network_for(SPEC, CONFIG)
    save_policy(
        folder, network.state_dict(), spec=SPEC, config=CONFIG, facts={"param_version": 1500}
    )
    return folder


def test_a_policy_comes_back(tmp_path: Path) -> None:
    folder = saved(tmp_path / "policy")
    stored = load_policy(folder)
    assert (stored.spec, stored.config) == (SPEC, CONFIG)
    assert stored.state["param_version"] == 1500
    assert not stored.network.training
    torch.manual_seed(0)
    expected = network_for(SPEC, CONFIG).state_dict()
    for name, tensor in stored.network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_past_actions_get_their_layers_back(tmp_path: Path) -> None:
    config = Config(game=GameConfig(action_history=2))
    spec = GameSpec(4, 16, 16, 3 + 2 * 3, 11, (1000.0, 10.0, 10000.0, *[1.0] * 6))
    network = network_for(spec, config)
    save_policy(tmp_path / "p", network.state_dict(), spec=spec, config=config, facts={})
    assert load_policy(tmp_path / "p").network.action_history_features == 6


def test_a_folder_is_replaced_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", {"x": b"old"}, {"n": 1})
    write_folder(tmp_path / "a", {"y": b"new"}, {"n": 2})
    state, files = read_folder(tmp_path / "a")
    assert (state["n"], files) == (2, {"y": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_moves(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_folder(tmp_path / name, {}, {"name": name})
        link_folder(tmp_path / "best", tmp_path / name)
        assert read_folder(tmp_path / "best")[0]["name"] == name


def test_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no checkpoint"):
        load_policy(tmp_path)


@pytest.mark.parametrize("file", [WEIGHTS, STATE])
def test_a_cut_file_is_refused(tmp_path: Path, file: str) -> None:
    folder = saved(tmp_path / "policy")
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptError, match=file):
        load_policy(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "policy")
    (folder / WEIGHTS).unlink()
    with pytest.raises(CorruptError, match=WEIGHTS):
        load_policy(folder)


def test_an_altered_state_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "policy")
    text = (folder / STATE).read_text()
    (folder / STATE).write_text(text.replace('"param_version": 1500', '"param_version": 2500'))
    with pytest.raises(CorruptError, match="own sha256"):
        load_policy(folder)


def reseal(folder: Path, state: dict[str, Any]) -> None:
    """Writes a state that passes its check, as only a hostile hand would."""
    (folder / STATE).write_text(json.dumps({**state, SEAL: seal(state)}))


def test_files_outside_the_folder_are_never_read(tmp_path: Path) -> None:
    folder = saved(tmp_path / "policy")
    state = read_folder(folder)[0]
    state["files"]["../secret"] = "0"
    reseal(folder, state)
    with pytest.raises(CorruptError, match="outside its folder"):
        load_policy(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "policy")
    state = read_folder(folder)[0]
    state["config"]["network"]["hidden"] = 6
    reseal(folder, state)
    with pytest.raises(CorruptError, match="does not describe a network"):
        load_policy(folder)
