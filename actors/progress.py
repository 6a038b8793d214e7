"""The progress reward: tmrl's, but progress counts only beyond the furthest point of the episode.

tmrl's ``compute_reward`` moves its index back when the car does and pays the same metres again when
they are driven again, while reversing costs nothing: a car that oscillated by 4.5 m earned 92 on a
track of 100 m that pays 10 in all. Here the reward of a step is how far it moved the high-water mark,
so an episode's total is at most the length of the line / 10, whatever the path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common.errors import ConfigError

POINT_SPACING_M = 0.1
POINTS_PER_REWARD = 100.0
_AXES = 2
_FEWEST_POINTS = 2


class _Search(NamedTuple):
    """How far to look for the nearest point: points ahead and behind, and metres squared to the side."""

    forward: int
    backward: int
    stray_squared: float


@njit(cache=True)
def _nearest(
    line: NDArray[np.float64], start: int, search: _Search, position: tuple[float, float, float]
) -> int:
    """Index of the nearest point ahead or, if that is ``start`` itself, of the nearest behind.

    The search ahead goes on as long as a nearer point turns up within ``forward`` points of the
    last, as in tmrl.
    """
    x, y, z = position
    best, least = start, np.inf
    index, left = start, search.forward
    while index < line.shape[0] and left > 0:
        dx, dy, dz = line[index, 0] - x, line[index, 1] - y, line[index, 2] - z
        squared = dx * dx + dy * dy + dz * dz
        if squared <= least:
            best, least, left = index, squared, search.forward
        index += 1
        left -= 1
    if least > search.stray_squared:
        return start
    if best == start:
        for behind in range(start - 1, max(start - search.backward, 0) - 1, -1):
            dx, dy, dz = line[behind, 0] - x, line[behind, 1] - y, line[behind, 2] - z
            squared = dx * dx + dy * dy + dz * dz
            if squared < least:
                best, least = behind, squared
    return best


class ProgressReward:
    """Pays 1.0 for each 10 m of reference line that the car is the first to reach in an episode.

    Attributes:
        line: reference points, 0.1 m apart.
    """

    def __init__(
        self,
        line: NDArray[np.float64],
        *,
        check_forward: int = 500,
        check_backward: int = 10,
        max_stray_m: float = 100.0,
        failure_countdown: int = 10,
        min_steps: int = 70,
    ) -> None:
        """Prepares the search; the defaults are tmrl's.

        Args:
            line: rows of x, y, z in metres, in driving order, 0.1 m apart.
            check_forward: points searched ahead of the last nearer one (500 = 50 m).
            check_backward: points the nearest point may fall back by in a step.
            max_stray_m: farther than this from the line is no progress.
            failure_countdown: steps without progress after which the car counts as stuck.
            min_steps: steps of an episode before which nothing counts as stuck.

        Raises:
            ConfigError: the line is no (N, 3) array of at least two finite points.
        """
        self.line = _checked(line)
        self._search = _Search(check_forward, check_backward, max_stray_m * max_stray_m)
        self._failure_countdown = failure_countdown
        self._min_steps = min_steps
        self._last = len(self.line) - 1
        self.reset()

    def reset(self) -> None:
        """Start an episode at the first point of the line."""
        self._current = 0
        self._furthest = 0
        self._steps = 0
        self._idle_steps = 0

    def advance(self, position: tuple[float, float, float]) -> float:
        """Reward for having moved to ``position`` (x, y, z in metres): new ground in metres / 10."""
        self._steps += 1
        self._current = _nearest(self.line, self._current, self._search, position)
        gained = self._current - self._furthest
        if gained <= 0:
            self._idle_steps += 1
            return 0.0
        self._furthest = self._current
        self._idle_steps = 0
        return gained / POINTS_PER_REWARD

    @property
    def furthest_m(self) -> float:
        """Distance along the line of the furthest point reached in this episode, in metres."""
        return self._furthest * POINT_SPACING_M

    @property
    def fraction(self) -> float:
        """Share of the line reached in this episode, 0 to 1."""
        return self._furthest / self._last

    @property
    def steps_without_progress(self) -> int:
        """Steps since the furthest point last moved."""
        return self._idle_steps

    @property
    def stuck(self) -> bool:
        """Whether the countdown without progress has run out after the first ``min_steps`` steps."""
        return self._steps > self._min_steps and self._idle_steps > self._failure_countdown

    def check_valid(self) -> None:
        """Raise AssertionError if the counters contradict each other."""
        assert 0 <= self._current <= self._furthest <= self._last
        assert 0 <= self._idle_steps <= self._steps


def compile_progress() -> None:
    """Compiles the search, or loads what was compiled; half a second that no race shall wait for."""
    ProgressReward(np.array([[0.0, 0.0, 0.0], [POINT_SPACING_M, 0.0, 0.0]])).advance(
        (0.0, 0.0, 0.0)
    )


def _checked(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """A read-only copy of the line, refused unless it is two or more finite points."""
    points = np.array(line, dtype=np.float64, order="C")
    if points.ndim != _AXES or points.shape[1:] != (3,) or len(points) < _FEWEST_POINTS:
        raise ConfigError(
            what=f"a reward line of shape {points.shape}",
            why="it needs two or more rows of x, y, z",
            fix="record the reward line again",
        )
    if not np.isfinite(points).all():
        raise ConfigError(
            what="a reward line with values that are not finite",
            why="distances to it would be meaningless",
            fix="record the reward line again",
        )
    points.setflags(write=False)
    return points
