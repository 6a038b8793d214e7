"""Checkpoints: what is written comes back exactly, and nothing damaged or foreign does."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from common.config import CheckpointConfig, Config, NetworkConfig
from common.contract import make_contract
from common.errors import ApexManiaError, ConfigError, CorruptError, MismatchError
from common.policy_file import STATE, load_policy, read_folder, save_policy, seal
from deploy.greedy_laps import find_checkpoint
from learner.checkpoint import (
    Checkpoint,
    Progress,
    load_checkpoint,
    require_same_run,
    save_checkpoint,
)
from learner.checkpoint_folder import CheckpointFolder
from learner.learner_state import capture, install
from tests.support.learner_inputs import SMALL, TM20, make_batch, make_step, small_config

CONFIG = small_config()
FILES = (
    "state.json",
    "weights.safetensors",
    "target.safetensors",
    "optimizer.safetensors",
    "generators.safetensors",
    "replay.bin",
    "sampler.bin",
)


def make_checkpoint(learner_steps: int = 3, **changes: object) -> Checkpoint:
    step = make_step(CONFIG)
    for seed in range(3):
        step.step(make_batch(seed=seed))
    checkpoint = Checkpoint(
        progress=Progress(learner_steps, 1, 900, 12),
        read_from=40,
        low=50,
        learner=capture(step),
        replay_service=b"service",
        sampler=b"sampler",
        spec=SMALL,
        config=CONFIG,
        terms=make_contract(CONFIG, SMALL).terms(),
    )
    return dataclasses.replace(checkpoint, **changes)


def reseal(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Changes a state.json so that it still passes its check, as another version would write it."""
    state = read_folder(folder)[0]
    change(state)
    (folder / STATE).write_text(json.dumps({**state, "sha256": seal(state)}))


def test_the_next_step_after_a_round_trip_is_the_same(tmp_path: Path) -> None:
    step = make_step(CONFIG)
    for seed in range(3):
        step.step(make_batch(seed=seed))
    save_checkpoint(tmp_path / "c", make_checkpoint(learner=capture(step)))
    fresh = make_step(CONFIG, seed=99)
    loaded = load_checkpoint(tmp_path / "c")
    install(fresh, loaded.learner)
    results = [learner.step(make_batch(seed=7)) for learner in (step, fresh)]
    assert torch.equal(results[0].priorities, results[1].priorities)
    first, second = capture(step), capture(fresh)
    for part in ("online", "target", "optimizer", "generators"):
        for name, tensor in getattr(first, part).items():
            assert torch.equal(tensor, getattr(second, part)[name]), name


def test_everything_else_comes_back(tmp_path: Path) -> None:
    written = make_checkpoint()
    save_checkpoint(tmp_path / "c", written)
    read = load_checkpoint(tmp_path / "c")
    assert (read.progress, read.read_from, read.low) == (written.progress, 40, 50)
    assert (read.replay_service, read.sampler) == (b"service", b"sampler")
    assert (read.spec, read.config) == (SMALL, CONFIG)
    require_same_run(read, contract=make_contract(CONFIG, SMALL), config=CONFIG)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_damage_to_any_file_is_refused(tmp_path: Path, file: str, damage: str) -> None:
    folder = tmp_path / "c"
    save_checkpoint(folder, make_checkpoint())
    assert {path.name for path in folder.iterdir()} == set(FILES)
    path = folder / file
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises((CorruptError, ConfigError)):
        load_checkpoint(folder)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", make_checkpoint())
    reseal(tmp_path / "c", lambda state: state.update(schema_version=2))
    with pytest.raises(MismatchError, match="checkpoint schema 2"):
        load_checkpoint(tmp_path / "c")


def test_a_policy_alone_cannot_be_resumed_from(tmp_path: Path) -> None:
    tensors = make_checkpoint().learner.online
    save_policy(tmp_path / "p", tensors, spec=SMALL, config=CONFIG, facts={})
    with pytest.raises(ConfigError, match="policy only"):
        load_checkpoint(tmp_path / "p")


def test_a_state_that_describes_nothing_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", make_checkpoint())
    reseal(tmp_path / "c", lambda state: state.pop("progress"))
    with pytest.raises(CorruptError, match="do not describe"):
        load_checkpoint(tmp_path / "c")


def test_other_network_shapes_are_refused_by_name() -> None:
    other = small_config()
    other = other.model_copy(update={"network": NetworkConfig(hidden=16)})
    with pytest.raises(MismatchError, match="another network"):
        install(make_step(other), make_checkpoint().learner)
    wider = CONFIG.network.model_copy(update={"hidden": 16})
    with pytest.raises(MismatchError, match=r"value\.hidden\.weight_mu is \(8, "):
        install(make_step(CONFIG.model_copy(update={"network": wider})), make_checkpoint().learner)


def test_another_contract_is_refused_with_both_values() -> None:
    with pytest.raises(MismatchError, match="frame_height") as caught:
        require_same_run(make_checkpoint(), contract=make_contract(CONFIG, TM20), config=CONFIG)
    assert "16 there, 64 here" in str(caught.value)


def test_other_code_and_other_settings_are_not_refused() -> None:
    terms = {**make_contract(CONFIG, SMALL).terms(), "code_version": "older"}
    changed = small_config(discount=0.5)
    require_same_run(
        make_checkpoint(terms=terms), contract=make_contract(changed, SMALL), config=changed
    )


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.learner.online["tau_embedding.bias"][0] = float("nan")
    with pytest.raises(ApexManiaError, match=r"tau_embedding\.bias"):
        save_checkpoint(tmp_path / "c", checkpoint)
    assert not (tmp_path / "c").exists()


def folder_of(run_dir: Path, keep_last: int = 3) -> CheckpointFolder:
    return CheckpointFolder(run_dir, CheckpointConfig(keep_last=keep_last))


def test_the_last_ones_are_kept_and_latest_points_at_the_newest(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for n in range(1, 6):
        folder.save(make_checkpoint(learner_steps=n, read_from=100 * n))
    assert [path.name for path in folder.folders()] == [f"step-{n:09d}" for n in (3, 4, 5)]
    assert (folder.path / "latest").resolve() == folder.folders()[-1]
    assert folder.needed_from() == 300
    assert (folder.path / "latest").is_symlink()


def test_a_damaged_newest_falls_back_and_nothing_is_deleted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for n in (1, 2, 3):
        folder.save(make_checkpoint(learner_steps=n))
    for n in (2, 3):
        (folder.path / f"step-{n:09d}" / "target.safetensors").write_bytes(b"")
    found = folder_of(tmp_path).newest_good()
    assert found is not None
    assert found.checkpoint.progress.learner_steps == 1
    assert (folder.path / "latest").resolve().name == "step-000000001"
    aside = sorted(path.name for path in folder.path.glob("damaged-*"))
    assert aside == ["damaged-1-step-000000002", "damaged-1-step-000000003"]
    folder.save(make_checkpoint(learner_steps=3))
    assert len(list(folder.path.glob("damaged-*"))) == 2


def test_all_damaged_is_refused_and_left_in_place(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder.save(make_checkpoint())
    (folder.folders()[0] / STATE).unlink()
    for _ in range(2):
        with pytest.raises(CorruptError, match="None of the 1 checkpoints"):
            folder_of(tmp_path).newest_good()
    assert len(folder.folders()) == 1


def test_no_checkpoint_at_all_is_none(tmp_path: Path) -> None:
    assert folder_of(tmp_path).newest_good() is None
    assert folder_of(tmp_path).needed_from() is None


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    half = folder.path / ".step-000000007.4711.tmp"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    assert folder_of(tmp_path).newest_good() is None
    assert not half.exists()


def test_incarnations_count_starts(tmp_path: Path) -> None:
    assert [folder_of(tmp_path).next_incarnation() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("place", [".", "checkpoints", "checkpoints/latest"])
def test_a_policy_is_found_and_loaded_from_any_level(tmp_path: Path, place: str) -> None:
    folder_of(tmp_path).save(make_checkpoint())
    stored = load_policy(find_checkpoint(tmp_path / place))
    assert stored.state["param_version"] == 3
    assert not stored.network.training
    expected = make_checkpoint().learner.online
    assert all(torch.equal(t, expected[name]) for name, t in stored.network.state_dict().items())


def test_the_config_in_a_checkpoint_is_the_whole_tree(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", make_checkpoint())
    state = read_folder(tmp_path / "c")[0]
    assert Config.model_validate(state["config"]) == CONFIG
