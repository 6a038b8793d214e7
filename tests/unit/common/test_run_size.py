"""What Redis could not carry is refused with the number that is needed and a setting that works."""

import re
from dataclasses import replace

import pytest
import torch

from common.config import Config
from common.errors import ConfigError
from common.game_spec import GameSpec
from common.network import network_for
from common.run_size import log_bytes, require_possible, weights_bytes
from common.weights import encode_weights
from deploy.config_file import load_config
from tests.support.learner_inputs import TM20


def square(side: int, spec: GameSpec = TM20) -> GameSpec:
    return replace(spec, frame_height=side, frame_width=side)


@pytest.mark.parametrize("preset", ["proven", "quickstart", "failed-run"])
def test_what_is_shipped_is_possible(preset: str) -> None:
    config = load_config(preset=preset)
    spec = replace(TM20, n_features=15) if config.game.action_history else TM20
    require_possible(config, spec, private_redis=True)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (["network.hidden=8192"], "network is too large"),
        (["replay.capacity=17000000"], "capacity is too large"),
        (["replay.capacity=1000000"], "outgrows Redis"),
        (["replay.max_redis_bytes=300000000"], "outgrows Redis"),
        (["learner.n_step=20", "replay.capacity=420000"], "outgrows Redis"),
    ],
)
def test_the_setting_in_the_fix_works(settings: list[str], what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        require_possible(load_config(settings=settings), TM20, private_redis=True)
    fixes = re.findall(r"--set (\S+=\d+)", caught.value.fix)
    assert fixes
    for fix in fixes:
        private = "replay.capacity" not in fix or what == "outgrows Redis"
        require_possible(load_config(settings=[*settings, fix]), TM20, private_redis=private)


def test_a_frame_that_no_segment_takes_is_refused() -> None:
    require_possible(Config(), square(258), private_redis=False)
    with pytest.raises(ConfigError, match=r"(?s)300 x 300.*5670000.*image_size=258"):
        require_possible(Config(), square(300), private_redis=False)


def test_a_games_own_shapes_are_looked_at() -> None:
    n_step_5 = Config.model_validate({"learner": {"n_step": 5}})
    with pytest.raises(ConfigError, match=r"learner\.n_step=4"):
        require_possible(n_step_5, replace(TM20, history=59), private_redis=False)
    with pytest.raises(ConfigError, match="Stack fewer"):
        require_possible(n_step_5, replace(TM20, history=63), private_redis=False)
    many = replace(TM20, n_features=2000, feature_scale=(1.0,) * 2000)
    with pytest.raises(ConfigError, match="2000 features"):
        require_possible(Config(), many, private_redis=False)


def test_ones_own_redis_has_a_limit_of_its_own() -> None:
    config = load_config(settings=["replay.capacity=1000000"])
    require_possible(config, TM20, private_redis=False)


def test_sizes_are_those_of_what_is_sent() -> None:
    config = load_config(settings=["network.hidden=1024"])
    blob = encode_weights(network_for(TM20, config), param_version=0, contract="0" * 64)
    assert len(blob) > 8 << 20
    assert len(blob) <= weights_bytes(config, TM20) <= len(blob) + (1 << 16)
    assert torch.get_default_device().type == "cpu"


def test_the_replay_of_the_proven_run_is_what_redis_was_measured_to_hold() -> None:
    assert 440e6 < log_bytes(Config(), TM20) < 470e6
