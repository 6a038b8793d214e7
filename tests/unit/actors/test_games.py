"""Games by name: what is accepted, what is refused in which words, and the wrappers."""

from pathlib import Path

import numpy as np
import pytest

from actors.game_contract import end_reason
from actors.games import game_spec, make_game
from actors.trackmania.reward_line import RewardLine, save_line
from common.config import Config
from common.contract import make_contract
from common.errors import ConfigError
from common.game_config import GameConfig, TrackmaniaConfig
from common.game_spec import GameSpec

TINY = "tests.support.tiny_games"


def config(factory: str, **changes: object) -> GameConfig:
    return GameConfig.model_validate({"name": f"{TINY}:{factory}", **changes})


def test_sim_is_the_proven_observation() -> None:
    game = Config().game
    env = make_game(game, training=True, seed=1)
    spec = game_spec(env, game)
    assert (spec.history, spec.frame_height, spec.frame_width) == (4, 64, 64)
    assert (spec.n_features, spec.n_actions) == (3, 11)
    assert spec.feature_scale == (1000.0, 10.0, 10000.0)
    observation, _ = env.reset()
    assert env.observation_space.contains(observation)
    env.close()


def test_sim_takes_its_options() -> None:
    gas = 1
    distances = {}
    for limit in (9.0, 20.0):
        game = GameConfig(options={"off_track_m": limit})
        env = make_game(game, training=True, seed=1)
        env.reset()
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(gas)
            ended = terminated or truncated
        assert info["end_reason"] == "off_track"
        distances[limit] = info["progress_m"]
    assert distances[9.0] < distances[20.0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"off_track": 9.0}, "no option 'off_track'"),
        ({"off_track_m": -1.0}, "positive float"),
        ({"stuck_steps": 2.5}, "positive int"),
        ({"grace_steps": True}, "positive int"),
        ({"stuck_steps": 0}, "positive int"),
        ({"delay_ticks": -1}, "int from 0 up"),
        ({"delay_ticks": False}, "int from 0 up"),
    ],
)
def test_sim_refuses_options_that_mean_nothing(options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_game(GameConfig(options=options), training=True, seed=0)


def test_sim_takes_no_delay_as_the_default_says_it() -> None:
    make_game(GameConfig(options={"delay_ticks": 0}), training=True, seed=0).close()


def test_a_plugin_is_built_with_its_options() -> None:
    game = config("corridor", options={"length": 3})
    env = make_game(game, training=True, seed=0)
    assert env.unwrapped.length == 3  # type: ignore[attr-defined]
    spec = game_spec(env, game)
    assert (spec.n_features, spec.n_actions, spec.feature_scale) == (1, 2, (1.0,))


def test_a_plugin_may_have_no_features() -> None:
    game = config("featureless")
    env = make_game(game, training=True, seed=0)
    observation, _ = env.reset()
    assert observation["features"].shape == (0,)
    assert game_spec(env, game).feature_scale == ()


def test_a_plugin_s_features_may_be_scaled() -> None:
    game = config("corridor", options={"n_features": 2}, feature_scale=(5.0, 7.0))
    assert game_spec(make_game(game, training=True, seed=0), game).feature_scale == (5.0, 7.0)


def test_too_few_divisors_are_refused() -> None:
    game = config("corridor", options={"n_features": 2}, feature_scale=(5.0,))
    env = make_game(game, training=True, seed=0)
    with pytest.raises(ConfigError, match="shows 2 features"):
        game_spec(env, game)


def test_the_stand_in_shows_what_sim_shows_and_starts_nothing() -> None:
    game = GameConfig(name="standin")
    env = make_game(game, training=True, seed=1)
    spec = game_spec(env, game)
    sim = GameConfig()
    assert spec == game_spec(make_game(sim, training=True, seed=1), sim)
    assert len(spec.reward_line) == 64
    assert env.metadata["real_time"] is True
    env.close()


def test_another_track_is_another_contract() -> None:
    contracts = []
    for track in ("first-lap", "generated:1"):
        config = Config(game=GameConfig(name="standin", track=track))
        env = make_game(config.game, training=True, seed=1)
        spec = game_spec(env, config.game)
        contracts.append(make_contract(config, spec))
        assert GameSpec.from_dict(spec.to_dict()).reward_line == spec.reward_line
    assert contracts[0].terms()["reward_line"] != contracts[1].terms()["reward_line"]


def test_trackmania_needs_a_reward_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reward_line is empty"):
        make_game(GameConfig(name="tm20"), training=True, seed=0)
    points = np.column_stack([np.arange(0.0, 90.0, 0.1), np.zeros(900), np.zeros(900)])
    line = RewardLine("straight", points)
    save_line(line, tmp_path / "straight.npz")
    link = TrackmaniaConfig(reward_line=str(tmp_path))
    game = GameConfig(name="tm20", trackmania=link)
    env = make_game(game, training=True, seed=0)
    assert game_spec(env, game).reward_line == line.content_hash
    env.close()


@pytest.mark.parametrize("name", ["standin", "tm20"])
def test_games_behind_tmrl_take_no_options(name: str) -> None:
    with pytest.raises(ConfigError, match="has no options"):
        make_game(GameConfig(name=name, options={"stuck_steps": 3}), training=True, seed=0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mario", "There is no game 'mario'"),
        ("module:", "There is no game"),
        ("standing", r"did you mean standin\?(.|\n)*--game standin"),
        (
            "no_such_module:make",
            r"no_such_module of the game .* does not import(.|\n)*PYTHONPATH=\. apexmania",
        ),
        (f"{TINY}:nothing_here", "has no factory nothing_here(.|\n)*corridor"),
        (f"{TINY}:raises", "failed with OSError: no such device"),
        (f"{TINY}:returns_nothing", "returned a NoneType"),
        (f"{TINY}:float_image", r"observation_space\['image'\](.|\n)*float32(.|\n)*Box of uint8"),
        (f"{TINY}:flat_image", r"shape \(history, height, width\)"),
        (f"{TINY}:double_features", r"observation_space\['features'\](.|\n)*float64"),
        (f"{TINY}:plain_box", "Dict with the keys image and features"),
        (f"{TINY}:continuous", r"action_space Box(.|\n)*Discrete\(n\)"),
        (f"{TINY}:many_actions", r"Discrete\(257\)(.|\n)*n <= 256"),
        (f"{TINY}:one_action", "2 <= n"),
    ],
)
def test_what_is_no_game_is_refused_by_name(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_game(GameConfig(name=name), training=True, seed=0)


def test_a_wrong_option_names_the_call() -> None:
    with pytest.raises(ConfigError, match="unexpected keyword") as caught:
        make_game(config("corridor", options={"lenght": 3}), training=True, seed=0)
    assert "corridor(**{'lenght': 3})" in caught.value.why


def test_an_observation_outside_its_space_is_refused_at_the_first_reset() -> None:
    env = make_game(config("promises_too_little"), training=True, seed=0)
    with pytest.raises(ConfigError, match=r"features: float32\[1\]"):
        env.reset()


def test_a_stack_that_does_not_shift_is_refused() -> None:
    env = make_game(config("oldest_last"), training=True, seed=0)
    env.reset()
    with pytest.raises(ConfigError, match="does not shift its frames"):
        env.step(1)


def test_a_reward_that_is_no_number_is_refused() -> None:
    env = make_game(config("pays_nan"), training=True, seed=0)
    env.reset()
    with pytest.raises(ConfigError, match="paid the reward nan"):
        env.step(1)


def test_the_time_limit_truncates() -> None:
    env = make_game(config("corridor", max_episode_steps=4), training=True, seed=0)
    env.reset()
    ends = [env.step(0)[2:4] for _ in range(4)]
    assert ends == [(False, False)] * 3 + [(False, True)]


def test_rewards_are_clipped_before_the_finish_bonus() -> None:
    game = config("corridor", options={"length": 2}, reward_clip=0.5, finish_bonus=10.0)
    env = make_game(game, training=True, seed=0)
    env.reset()
    rewards = [env.step(1)[1] for _ in range(2)]
    assert rewards == [0.5, 10.5]


def first_reward(**changes: float) -> float:
    env = make_game(config("corridor", **changes), training=True, seed=0)
    env.reset()
    return float(env.step(1)[1])


def test_rewards_are_scaled_before_they_are_clipped() -> None:
    plain = first_reward()
    assert plain > 0.1
    assert first_reward(reward_scale=0.25) == pytest.approx(0.25 * plain)
    assert first_reward(reward_scale=100.0, reward_clip=0.5) == 0.5
    assert first_reward(reward_scale=1e-3, reward_clip=0.5) == pytest.approx(1e-3 * plain)


def test_past_actions_of_a_plugin_are_one_hot() -> None:
    game = config("corridor", action_history=2)
    env = make_game(game, training=True, seed=0)
    observation, _ = env.reset()
    assert observation["features"].tolist() == [0.0, 0.0, 0.0, 0.0, 0.0]
    env.step(1)
    observation, *_ = env.step(0)
    # the cell, then action 1 as (0, 1), then the newest, action 0, as (1, 0)
    assert observation["features"].tolist() == [1.0, 0.0, 1.0, 1.0, 0.0]
    assert env.observation_space.contains(observation)
    assert game_spec(env, game).feature_scale == (1.0,) * 5


def test_past_actions_of_the_car_are_its_controls() -> None:
    game = GameConfig(action_history=1)
    env = make_game(game, training=True, seed=0)
    env.reset()
    observation, *_ = env.step(6)
    np.testing.assert_allclose(observation["features"][3:], [0.0, 0.0, -0.3], rtol=1e-6)
    assert game_spec(env, game).n_features == 6


def test_a_seed_gives_the_same_start_and_evaluation_has_its_own_jitter() -> None:
    game = GameConfig(start_jitter=1.0)

    def start(**how: object) -> float:
        env = make_game(game, **how)  # type: ignore[arg-type]
        observation, _ = env.reset()
        return float(observation["features"][0])

    assert start(training=True, seed=3) == start(training=True, seed=3) > 0.0
    assert start(training=True, seed=3) != start(training=True, seed=4)
    assert start(training=False, seed=3) == 0.0
    assert 0.0 < start(training=False, seed=3, evaluation_jitter=0.1) < 0.5


def test_render_mode_reaches_a_factory_that_takes_one() -> None:
    env = make_game(config("corridor"), training=False, seed=0, render=True)
    env.reset()
    assert env.render().shape == (90, 160, 3)
    assert make_game(config("featureless"), training=False, seed=0, render=True) is not None


@pytest.mark.parametrize(
    ("info", "terminated", "word"),
    [
        ({"end_reason": "stuck"}, True, "stuck"),
        ({"finished": True}, True, "finish"),
        ({}, True, "terminated"),
        ({}, False, "time_limit"),
    ],
)
def test_an_end_has_a_word(info: dict[str, object], *, terminated: bool, word: str) -> None:
    assert end_reason(info, terminated=terminated) == word
