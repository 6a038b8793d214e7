"""The progress reward against every path: bounded by the track, never negative, nothing for wiggling."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from actors.progress import ProgressReward
from common.errors import ConfigError

LENGTH_M = 100.0


def bent_line() -> NDArray[np.float64]:
    """50 m to the east, then 50 m to the north, a point each 0.1 m."""
    along = np.arange(0.0, LENGTH_M + 0.05, 0.1)
    x, y = np.minimum(along, 50.0), np.maximum(along - 50.0, 0.0)
    return np.stack([x, y, np.zeros_like(along)], axis=1)


class TmrlReward:
    """tmrl 0.7.1's rule, which pays re-driven metres again: what the high-water mark is against."""

    def __init__(self, line: NDArray[np.float64]) -> None:
        self.line, self.current = line, 0

    def advance(self, position: tuple[float, float, float]) -> float:
        best, least, index, left = self.current, math.inf, self.current, 500
        while index < len(self.line) and left > 0:
            distance = math.dist(self.line[index], position)
            if distance <= least:
                best, least, left = index, distance, 500
            index, left = index + 1, left - 1
        reward = (best - self.current) / 100.0
        if best == self.current:
            for behind in range(self.current - 1, max(self.current - 10, 0) - 1, -1):
                distance = math.dist(self.line[behind], position)
                if distance < least:
                    best, least = behind, distance
        self.current = best
        return reward


coordinate = st.floats(-60.0, 160.0)
paths = st.lists(st.tuples(coordinate, coordinate, st.floats(-5.0, 5.0)), max_size=60)


@settings(max_examples=150)
@given(paths)
def test_any_path_earns_between_nothing_and_the_length(
    path: list[tuple[float, float, float]],
) -> None:
    progress = ProgressReward(bent_line())
    rewards = []
    for position in path:
        before = progress.furthest_m
        rewards.append(progress.advance(position))
        progress.check_valid()
        assert progress.furthest_m >= before
    assert all(reward >= 0.0 for reward in rewards)
    assert sum(rewards) <= LENGTH_M / 10.0 + 1e-9
    assert sum(rewards) == pytest.approx(progress.furthest_m / 10.0)


@settings(max_examples=100)
@given(st.floats(5.0, 40.0), st.floats(0.0, 4.5), st.lists(st.floats(-1.0, 1.0), max_size=100))
def test_wiggling_behind_the_furthest_point_earns_nothing(
    centre: float, reach: float, swings: list[float]
) -> None:
    progress = ProgressReward(bent_line())
    progress.advance((centre + reach, 0.0, 0.0))
    assert sum(progress.advance((centre + reach * s, 0.0, 0.0)) for s in swings) == 0.0
    assert progress.steps_without_progress == len(swings)


def test_tmrl_pays_for_the_wiggle_that_earns_nothing_here() -> None:
    ours, theirs = ProgressReward(bent_line()), TmrlReward(bent_line())
    earned, farmed = 0.0, 0.0
    for step in range(2000):
        position = (25.0 + 4.5 * math.sin(step / 7.0), 0.0, 0.0)
        earned += ours.advance(position)
        farmed += theirs.advance(position)
    assert earned == pytest.approx(2.95)
    assert farmed > 4 * LENGTH_M / 10.0


@settings(max_examples=50)
@given(st.lists(st.floats(0.2, 5.0), min_size=1, max_size=60), st.floats(-6.0, 6.0))
def test_driving_forwards_pays_what_tmrl_pays(steps_m: list[float], offset: float) -> None:
    ours, theirs, line = ProgressReward(bent_line()), TmrlReward(bent_line()), bent_line()
    for along in np.minimum(np.cumsum(steps_m), LENGTH_M):
        x, y, z = line[round(along * 10)]
        position = (float(x), float(y) + (offset if along < 40.0 else 0.0), float(z))
        assert ours.advance(position) == pytest.approx(theirs.advance(position))


def test_the_whole_line_pays_a_tenth_of_its_length() -> None:
    progress = ProgressReward(bent_line())
    assert progress.advance((5.0, 3.0, 0.0)) == pytest.approx(0.5)
    total = 0.5 + sum(progress.advance(tuple(point)) for point in bent_line()[60::7])
    total += progress.advance((50.0, 50.0, 0.0))
    assert total == pytest.approx(10.0)
    assert progress.fraction == 1.0


def test_a_car_farther_than_the_stray_limit_makes_no_progress() -> None:
    progress = ProgressReward(bent_line(), max_stray_m=10.0)
    assert progress.advance((20.0, -10.5, 0.0)) == 0.0
    assert progress.advance((20.0, -9.5, 0.0)) == pytest.approx(2.0)


def test_a_leap_of_more_than_the_window_is_not_seen() -> None:
    along = np.arange(0.0, 300.0, 0.1)
    circle = np.stack([50 * np.cos(along / 50), 50 * np.sin(along / 50), 0 * along], axis=1)
    progress = ProgressReward(circle)
    opposite = circle[1570]
    assert progress.advance(tuple(opposite)) <= 157.0 / 10
    lap = ProgressReward(circle, check_forward=500)
    end = circle[-1]
    assert lap.advance(tuple(end)) < 5.0


def test_stuck_needs_both_the_grace_and_the_countdown_to_run_out() -> None:
    progress = ProgressReward(bent_line(), failure_countdown=3, min_steps=10)
    stuck = [progress.advance((0.0, 0.0, 0.0)) or progress.stuck for _ in range(12)]
    assert stuck.index(True) == 10
    progress.advance((2.0, 0.0, 0.0))
    assert not progress.stuck
    stuck = [progress.advance((2.0, 0.0, 0.0)) or progress.stuck for _ in range(6)]
    assert stuck.index(True) == 3


def test_reset_starts_an_episode_afresh() -> None:
    progress = ProgressReward(bent_line())
    progress.advance((30.0, 0.0, 0.0))
    progress.reset()
    assert (progress.furthest_m, progress.steps_without_progress, progress.stuck) == (0.0, 0, False)
    assert progress.advance((30.0, 0.0, 0.0)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    "line", [np.zeros((5, 2)), np.zeros((1, 3)), np.zeros(9), np.full((4, 3), np.nan)]
)
def test_a_line_that_is_none_is_refused(line: NDArray[np.float64]) -> None:
    with pytest.raises(ConfigError, match="reward line"):
        ProgressReward(line)
