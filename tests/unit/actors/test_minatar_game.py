"""The worked example of docs/games.md keeps the contract."""

import sys
import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from actors.games import game_spec, make_game
from actors.minatar_game import LEVELS, breakout
from common.errors import ConfigError
from common.game_config import GameConfig

NAME = "actors.minatar_game:breakout"


def test_gymnasium_approves() -> None:
    with warnings.catch_warnings():
        # its advice on unbounded boxes and on environments that gymnasium.make has not built
        warnings.simplefilter("ignore", UserWarning)
        check_env(breakout(render_mode="rgb_array"), skip_render_check=False)


def test_it_is_a_game() -> None:
    config = GameConfig(name=NAME)
    env = make_game(config, training=True, seed=0)
    spec = game_spec(env, config)
    assert (spec.history, spec.frame_height, spec.frame_width) == (2, 10, 10)
    assert (spec.n_features, spec.n_actions) == (0, 3)


def test_each_object_has_a_level_of_its_own() -> None:
    env = breakout()
    observation, _ = env.reset(seed=0)
    frame = observation["image"][-1]
    assert (frame[1:4] == LEVELS["brick"]).sum() == 30 - (frame[1:4] == LEVELS["ball"]).sum()
    assert (frame[9] == LEVELS["paddle"]).sum() == 1
    assert (frame == LEVELS["ball"]).sum() == 1


def test_the_same_seed_plays_the_same_game() -> None:
    def play() -> list[np.ndarray]:
        env = breakout()
        frames = [env.reset(seed=7)[0]["image"]]
        rng = np.random.default_rng(0)
        for _ in range(100):
            observation, _, terminated, _, _ = env.step(int(rng.integers(3)))
            frames.append(observation["image"])
            if terminated:
                frames.append(env.reset()[0]["image"])
        return frames

    for first, second in zip(play(), play(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_bricks_pay() -> None:
    env = breakout()
    rewards = 0.0
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(500):
        _, reward, terminated, _, _ = env.step(int(rng.integers(3)))
        rewards += reward
        if terminated:
            env.reset()
    assert rewards > 0


def test_without_minatar_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar.environments.breakout", None)
    with pytest.raises(ConfigError, match="pip install MinAtar"):
        make_game(GameConfig(name=NAME), training=True, seed=0)
