"""From the rows of a run to the figures that rules judge, one row at a time."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deploy.health.check import Point
from deploy.health.expectation import Expectation

Row = dict[str, Any]
Signal = tuple[str, Point]
RECENT_EPISODES = 100
TREND_EPISODES = 500
EPISODES_A_FIGURE = 10
"""Rules over episodes look at windows, so they need not look at each."""
FLEET_ROWS = 30
"""Rows of the fleet over which counts are summed: five minutes."""
_LEARNER_FIGURES = ("q_mean", "loss", "epsilon", "grad_norm")
_FLEET_COUNTS = (
    "driven_steps",
    "late_steps",
    *("weights_bad", "dropped_transitions", "quarantined"),
)
_FAULT = "fault"
_SIGMAS = 2.0
"""How far below the fitted slope the truth may lie: so that noise alone seldom falls."""


class Signals:
    """Windows over the rows of one run.

    Args:
        expectation: learns from the first row of the learner when learning began.
    """

    def __init__(self, expectation: Expectation) -> None:
        self._expectation = expectation
        config = expectation.config
        self._capacity = config.replay.capacity
        self._recent: deque[Row] = deque(maxlen=RECENT_EPISODES)
        trend = max(RECENT_EPISODES, round(config.health.phase_scale * TREND_EPISODES))
        self._returns: deque[float] = deque(maxlen=trend)
        self._held: deque[tuple[int, bool]] = deque()
        self._held_finishes = 0
        self._fleet: deque[dict[str, float]] = deque(maxlen=FLEET_ROWS)

    def of_learner(self, row: Row) -> Iterator[Signal]:
        """Yields the figures of a row of learner metrics."""
        expectation, config = self._expectation, self._expectation.config
        if expectation.first_episode is None:
            expectation.first_episode = int(row["episodes"])
        at = int(row["episodes"]), int(row["env_steps"]), float(row["time"])
        for name in _LEARNER_FIGURES:
            yield name, Point(*at, _number(row.get(name)))
        ratio = _number(row.get("samples_per_insert")) / config.replay.samples_per_insert
        yield "samples_per_insert", Point(*at, ratio)
        learned = max(1.0, _number(row.get("replay_size")) * expectation.updates_per_env_step)
        if self._recent:
            best = max(float(each["return"]) for each in self._recent)
            yield "overestimation", Point(*at, _number(row.get("q_mean")) / max(1.0, best))
        yield "replay_age", Point(*at, _number(row.get("staleness_mean")) / learned)

    def of_episode(self, row: Row) -> Iterator[Signal]:
        """Yields the figures over the newest episodes, every few episodes."""
        self._recent.append(row)
        self._returns.append(float(row["return"]))
        self._hold(int(row["env_steps"]), finished=row.get("finish_ms") is not None)
        if int(row["n"]) % EPISODES_A_FIGURE:
            return
        at = int(row["n"]), int(row["env_steps"]), float(row["ended_at"])
        returns = [float(each["return"]) for each in self._recent]
        if len(returns) == RECENT_EPISODES:
            yield "reward_mean", Point(*at, float(np.mean(returns)))
            yield "reward_spread", Point(*at, max(returns) - min(returns))
        if len(self._returns) == self._returns.maxlen:
            yield "reward_trend", Point(*at, relative_fall(self._returns))
        counts = np.sum([each["action_counts"] for each in self._recent], axis=0)
        if counts.sum() > 0:
            yield "action_share", Point(*at, float(counts.max() / counts.sum()))
        yield "finish_share", Point(*at, self._held_finishes / len(self._held))
        faults = sum(str(each["reason"]).startswith(f"{_FAULT}:") for each in self._recent)
        yield "fault_share", Point(*at, faults / len(self._recent))

    def of_fleet(self, row: Row) -> Iterator[Signal]:
        """Yields the figures of a row of the fleet, counts over the newest five minutes."""
        counts = {
            name: float(row[name]) for name in _FLEET_COUNTS
        }  # first: a damaged row is not kept
        self._fleet.append(counts)
        at = int(row["episodes"]), int(row["env_steps"]), float(row["time"])
        for name in ("actors_lost", "actors_still", "members_lost"):
            yield name, Point(*at, len(row[name]), ", ".join(row[name]))
        for name in ("weights_bad", "dropped_transitions", "quarantined"):
            yield name, Point(*at, sum(each[name] for each in self._fleet))
        driven = sum(each["driven_steps"] for each in self._fleet)
        late = sum(each["late_steps"] for each in self._fleet)
        yield "late_share", Point(*at, late / max(1.0, driven))
        for name in ("learner_idle_s", "redis_away_s"):
            yield name, Point(*at, float(row[name]))
        limit = self._expectation.config.actors.spool_max_bytes
        yield "spool_share", Point(*at, float(row["spooled_bytes_max"]) / limit)
        yield "weights_lag", Point(*at, float(row["staleness_max"]) / self._episode_updates(row))
        share = row.get("priority_effective_share")
        if share is not None:
            yield "priority_effective_share", Point(*at, float(share))

    def _episode_updates(self, row: Row) -> float:
        """Returns learner steps that pass while the fleet drives its longest episodes."""
        config = self._expectation.config
        steps = max(config.game.max_episode_steps, config.actors.refresh_steps)
        fleet_steps = steps * max(1, int(row["actors"]))
        own = fleet_steps * self._expectation.updates_per_env_step
        return own + config.learner.weights_period_learner_steps

    def _hold(self, env_steps: int, *, finished: bool) -> None:
        """Keeps the episodes whose transitions the replay still holds."""
        self._held.append((env_steps, finished))
        self._held_finishes += finished
        while self._held[0][0] <= env_steps - self._capacity:
            self._held_finishes -= self._held.popleft()[1]


def relative_fall(returns: Sequence[float]) -> float:
    """Returns by which share of their level returns fell for certain; 0 where that is not certain.

    A straight line is fitted; of its slope only what is beyond noise counts. The level is the line's
    beginning, or the returns' own spread where that is larger.

    Args:
        returns: of a window of episodes, oldest first.
    """
    values = np.asarray(returns, np.float64)
    count = len(values)
    places = np.arange(count) - (count - 1) / 2
    squares = float((places**2).sum())
    slope = float((places * values).sum()) / squares
    left = values - values.mean() - slope * places
    error = math.sqrt(float((left**2).sum()) / max(1, count - 2) / squares)
    certain = max(0.0, -slope - _SIGMAS * error) * count
    begin = abs(float(values.mean() + slope * places[0]))
    return certain / max(begin, float(left.std()), 1e-9)


def _number(value: object) -> float:
    """Returns a figure; rows have null for what JSON has no number for."""
    return float(value) if isinstance(value, int | float) else math.nan
