import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from actors.sim.env import DEFAULT_ACTIONS, SimEnv
from actors.sim.pilot import Pilot
from common.errors import ConfigError

COAST, GAS, BRAKE = 0, 1, 8


def play(env: SimEnv, seed: int, choose: Any) -> tuple[list[Any], dict[str, Any]]:
    """One episode; ``choose`` maps the step number to an action."""
    env.reset(seed=seed)
    steps = []
    while True:
        steps.append(env.step(choose(len(steps))))
        if steps[-1][2] or steps[-1][3]:
            return steps, steps[-1][4]


def pilot_episode(env: SimEnv, seed: int) -> tuple[list[Any], dict[str, Any]]:
    pilot = Pilot(env.car)
    return play(env, seed, lambda _: pilot.choose(DEFAULT_ACTIONS))


def test_gymnasium_accepts_the_environment() -> None:
    env = SimEnv(render_mode="rgb_array")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=False)
    texts = [str(item.message) for item in caught]
    assert [text for text in texts if "infinity" not in text and "spec" not in text] == []


def test_a_delay_of_a_whole_step_shifts_the_actions_by_one() -> None:
    actions = np.random.default_rng(6).integers(0, 11, 60)
    late, early = SimEnv(delay_ticks=3, start_jitter=0.0), SimEnv(start_jitter=0.0)
    late.reset(seed=0)
    early.reset(seed=0)
    for after, before in zip(actions, [COAST, *actions[:-1]], strict=True):
        late.step(after)
        early.step(before)
        np.testing.assert_array_equal(late.car.state, early.car.state)


@pytest.mark.parametrize("ticks", [-1, 4])
def test_a_delay_beyond_a_step_is_refused(ticks: int) -> None:
    with pytest.raises(ConfigError, match="delay_ticks"):
        SimEnv(delay_ticks=ticks)


def test_the_same_seed_and_actions_give_the_same_bits() -> None:
    actions = np.random.default_rng(5).integers(0, 11, 400)
    runs = []
    for _ in range(2):
        env = SimEnv(track="chicane")
        bits = [env.reset(seed=9)[0]["image"].tobytes()]
        for action in actions:
            observation, reward, terminated, truncated, info = env.step(action)
            bits += [observation["image"].tobytes(), observation["features"].tobytes(), reward]
            bits.append(repr(info))
            if terminated or truncated:
                env.reset()
        runs.append(bits)
    assert runs[0] == runs[1]


def test_seeds_start_differently_and_no_jitter_starts_alike() -> None:
    env = SimEnv()
    poses = {env.reset(seed=seed)[1]["position"] for seed in range(20)}
    assert len(poses) == 20
    still = SimEnv(start_jitter=0.0)
    infos = [still.reset(seed=seed)[1] for seed in range(5)]
    assert len({info["position"] for info in infos}) == 1
    assert infos[0]["speed_mps"] == 0.0


def test_reset_without_a_seed_goes_on_with_the_generator() -> None:
    env = SimEnv()
    first = env.reset(seed=3)[1]["position"]
    assert env.reset()[1]["position"] != first
    assert env.reset(seed=3)[1]["position"] == first


def test_reset_fills_the_stack_with_the_first_frame() -> None:
    image = SimEnv(history=4).reset(seed=1)[0]["image"]
    assert image.shape == (4, 64, 64)
    assert all(np.array_equal(image[0], frame) for frame in image)


def test_a_step_rolls_the_stack_by_one_and_puts_the_newest_last() -> None:
    env = SimEnv(history=3)
    before = env.reset(seed=1)[0]["image"]
    for _ in range(10):
        after = env.step(GAS)[0]["image"]
        assert np.array_equal(after[:-1], before[1:])
        before = after
    assert not np.array_equal(after[-1], after[-2])


def test_observations_are_the_callers_to_keep() -> None:
    env = SimEnv()
    first = env.reset(seed=1)[0]
    second = env.step(GAS)[0]
    kept = first["image"].copy(), second["image"].copy(), second["features"].copy()
    first["image"][:] = 0
    second["image"][-1] = 7
    third = env.step(GAS)[0]
    assert np.array_equal(third["image"][-2], kept[1][-1])
    assert np.array_equal(second["features"], kept[2])


def test_features_are_raw_telemetry() -> None:
    env = SimEnv(start_jitter=0.0)
    env.reset(seed=0)
    for _ in range(60):
        observation, _, _, _, info = env.step(GAS)
    speed, gear, rpm = observation["features"]
    assert speed == pytest.approx(info["speed_mps"], rel=1e-6)
    assert 28.0 < speed < 34.0
    assert gear == 3.0
    assert 1000.0 < rpm <= 10500.0


def test_a_random_policy_never_finishes_the_first_lap() -> None:
    env = SimEnv()
    rng = np.random.default_rng(0)
    ends = [play(env, seed, lambda _: rng.integers(0, 11))[1] for seed in range(60)]
    assert not any(info["finished"] for info in ends)
    assert max(info["progress_m"] for info in ends) > 60.0


@pytest.mark.parametrize("track", ["first-lap", "oval", "hairpins"])
def test_gas_alone_misses_the_first_curve(track: str) -> None:
    for seed in range(10):
        info = play(SimEnv(track=track), seed, lambda _: GAS)[1]
        assert info["end_reason"] in {"off_track", "stuck"}
        assert not info["finished"]


def test_the_pilot_finishes_with_the_discrete_actions_from_every_start() -> None:
    env = SimEnv()
    laps = [pilot_episode(env, seed)[1] for seed in range(10)]
    assert all(info["end_reason"] == "finish" for info in laps)
    assert len({info["lap_time_ms"] for info in laps}) > 5


def test_a_finish_terminates_with_a_lap_time_finer_than_a_step() -> None:
    env = SimEnv()
    remainders = set()
    for seed in range(6):
        steps, info = pilot_episode(env, seed)
        assert (steps[-1][2], steps[-1][3]) == (True, False)
        assert info["finished"]
        assert (len(steps) - 1) * 50 <= info["lap_time_ms"] <= len(steps) * 50
        remainders.add(info["lap_time_ms"] % 50)
        assert sum(step[1] for step in steps) == pytest.approx(env.track.length_m / 10, abs=0.2)
        assert len(info["split_times_ms"]) == info["checkpoints_passed"] == 2
        assert all("end_reason" not in step[4] for step in steps[:-1])
        assert all(step[4]["lap_time_ms"] is None for step in steps[:-1])
    assert len(remainders) > 2


def test_a_car_that_stands_is_stuck_and_terminates() -> None:
    steps, info = play(SimEnv(start_jitter=0.0), 0, lambda _: COAST)
    assert info["end_reason"] == "stuck"
    assert (steps[-1][2], steps[-1][3]) == (True, False)
    assert len(steps) == 41
    assert sum(step[1] for step in steps) == 0.0


def test_driving_into_the_grass_terminates_off_the_track() -> None:
    steps, info = play(SimEnv(), 0, lambda _: GAS)
    assert info["end_reason"] == "off_track"
    assert (steps[-1][2], steps[-1][3]) == (True, False)


def test_the_time_limit_truncates() -> None:
    steps, info = play(SimEnv(max_steps=30), 0, lambda _: GAS)
    assert info["end_reason"] == "time_limit"
    assert (steps[-1][2], steps[-1][3]) == (False, True)
    assert len(steps) == 30


def test_an_end_on_the_last_step_terminates_and_does_not_truncate() -> None:
    _, info = play(SimEnv(start_jitter=0.0, max_steps=41), 0, lambda _: COAST)
    assert info["end_reason"] == "stuck"
    env = SimEnv()
    needed = len(pilot_episode(env, 4)[0])
    steps, info = pilot_episode(SimEnv(max_steps=needed), 4)
    assert info["end_reason"] == "finish"
    assert (steps[-1][2], steps[-1][3]) == (True, False)


def test_shuttling_back_and_forth_earns_no_more_than_the_ground_gained() -> None:
    env = SimEnv(start_jitter=0.0, stuck_steps=10_000, max_steps=1500)
    steps, info = play(env, 0, lambda step: GAS if step % 60 < 22 else BRAKE)
    total = sum(step[1] for step in steps)
    assert total == pytest.approx(info["progress_m"] / 10.0)
    assert all(step[1] >= 0.0 for step in steps)


def test_the_finish_bonus_is_paid_once_and_only_at_the_finish() -> None:
    plain = sum(step[1] for step in pilot_episode(SimEnv(), 2)[0])
    paid = sum(step[1] for step in pilot_episode(SimEnv(finish_bonus=7.0), 2)[0])
    assert paid == pytest.approx(plain + 7.0)


def test_an_action_table_of_ones_own_is_driven() -> None:
    env = SimEnv(action_table=[(0.5, 0.0, 0.0), (0.0, 1.0, 1.0)])
    assert env.action_space.n == 2
    env.reset(seed=0)
    for _ in range(40):
        info = env.step(0)[4]
    assert 5.0 < info["speed_mps"] < 20.0


def test_render_is_a_colour_picture() -> None:
    env = SimEnv(render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture is not None
    assert picture.shape == (360, 640, 3)
    assert SimEnv().render() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"track": "nowhere"},
        {"action_table": [(1.5, 0.0, 0.0)]},
        {"action_table": []},
        {"render_mode": "human"},
        {"history": 0},
        {"max_steps": 0},
        {"image_size": 4},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SimEnv(**wrong)
