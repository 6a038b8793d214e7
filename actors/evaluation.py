"""Greedy, noise-free laps, and what they say about a policy."""

import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actors.game_contract import Game, Observation, end_reason
from actors.policy import Policy
from common.evaluation_score import Score, evaluation_score


@dataclass(frozen=True, slots=True)
class Lap:
    """One attempt, with what it takes to drive it again exactly.

    Attributes:
        seed: seed of the game's reset.
        actions: what was done, one a step.
        finished: whether the finish line was crossed.
        lap_time_ms: milliseconds from start to finish; None where it was not finished.
        split_times_ms: milliseconds to each checkpoint.
        episode_return: undiscounted sum of rewards.
        reason: the game's word for the end, if it has one.
        progress_m: metres along the reward line at the furthest point.
    """

    seed: int
    actions: tuple[int, ...]
    finished: bool
    lap_time_ms: float | None
    split_times_ms: tuple[float, ...]
    episode_return: float
    reason: str
    progress_m: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON and msgpack."""
        return {
            "seed": self.seed,
            "steps": len(self.actions),
            "finished": self.finished,
            "lap_time_ms": self.lap_time_ms,
            "split_times_ms": list(self.split_times_ms),
            "return": self.episode_return,
            "reason": self.reason,
            "progress_m": self.progress_m,
        }


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """All attempts of one evaluation and their figures.

    Attributes:
        param_version: learner step of the weights.
        laps: the attempts in the order of their seeds, at least one.
    """

    param_version: int
    laps: tuple[Lap, ...]

    @property
    def episodes(self) -> int:
        """Attempts."""
        return len(self.laps)

    @property
    def finishes(self) -> int:
        """Attempts that crossed the finish line."""
        return sum(lap.finished for lap in self.laps)

    @property
    def finish_rate(self) -> float:
        """Share of the attempts that crossed the finish line."""
        return self.finishes / self.episodes

    @property
    def lap_times_ms(self) -> tuple[float, ...]:
        """Times of the finished laps, milliseconds."""
        return tuple(lap.lap_time_ms for lap in self.laps if lap.lap_time_ms is not None)

    @property
    def mean_return(self) -> float:
        """Mean over the attempts of the undiscounted return."""
        return statistics.fmean(lap.episode_return for lap in self.laps)

    @property
    def best_lap(self) -> Lap:
        """The fastest finished lap; where none finished the one with the largest return."""
        return min(
            self.laps,
            key=lambda lap: (
                lap.lap_time_ms is None,
                lap.lap_time_ms or 0.0,
                -lap.episode_return,
            ),
        )

    @property
    def score(self) -> Score:
        """Larger is better: finish rate first, then the mean lap time, or the mean return."""
        times = self.lap_times_ms
        return evaluation_score(
            finish_rate=self.finish_rate,
            lap_mean_ms=statistics.fmean(times) if times else None,
            return_mean=self.mean_return,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON and msgpack; lap times in milliseconds."""
        times = self.lap_times_ms
        returns = [lap.episode_return for lap in self.laps]
        best = self.best_lap
        return {
            "param_version": self.param_version,
            "episodes": self.episodes,
            "finishes": self.finishes,
            "finish_rate": self.finish_rate,
            "lap_times_ms": list(times),
            "lap_mean_ms": statistics.fmean(times) if times else None,
            "lap_median_ms": statistics.median(times) if times else None,
            "lap_best_ms": min(times, default=None),
            "lap_std_ms": statistics.pstdev(times) if times else None,
            "return_mean": self.mean_return,
            "return_std": statistics.pstdev(returns),
            "progress_mean_m": statistics.fmean(lap.progress_m for lap in self.laps),
            "best_lap": {**best.to_dict(), "actions": list(best.actions)},
            "laps": [lap.to_dict() for lap in self.laps],
        }


def evaluate(
    policy: Policy,
    make_env: Callable[[], Game],
    *,
    episodes: int,
    seed: int,
    stop: threading.Event | None = None,
) -> EvaluationReport | None:
    """Drives the attempts greedily and returns the report, or None where it was stopped.

    Args:
        policy: whose mean weights drive.
        make_env: builds the game; it is closed at the end.
        episodes: attempts, at least one.
        seed: the seeds of the attempts come from it, so that the same seed gives the same starts.
        stop: checked before each attempt.
    """
    env = make_env()
    laps = []
    try:
        for lap_seed in lap_seeds(seed, episodes):
            if stop is not None and stop.is_set():
                return None
            laps.append(drive_lap(policy, env, seed=lap_seed))
    finally:
        env.close()
    return EvaluationReport(policy.param_version, tuple(laps))


def lap_seeds(seed: int, episodes: int) -> Sequence[int]:
    """Returns the reset seeds of an evaluation; a longer one begins with those of a shorter one."""
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(episodes)]


def drive_lap(policy: Policy, env: Game, *, seed: int) -> Lap:
    """Drives one attempt greedily from the start that the seed gives."""
    attempt = Attempt(env, seed=seed)
    while not attempt.ended:
        action, _ = policy.greedy(attempt.observation)
        attempt.step(action)
    return attempt.lap()


class Attempt:
    """One episode of evaluation while it is driven.

    Args:
        env: the game; reset here.
        seed: seed of the reset.
    """

    def __init__(self, env: Game, *, seed: int) -> None:
        self._env = env
        self._seed = seed
        self.observation: Observation
        self.info: dict[str, Any]
        self.observation, self.info = env.reset(seed=seed)
        self.actions: list[int] = []
        self.episode_return = 0.0
        self.progress_m = 0.0
        self.ended = False
        self.reason = ""

    def step(self, action: int) -> None:
        """Does one env step."""
        self.observation, reward, terminated, truncated, self.info = self._env.step(action)
        self.actions.append(action)
        self.episode_return += float(reward)
        self.progress_m = max(self.progress_m, float(self.info.get("progress_m", 0.0)))
        self.ended = bool(terminated or truncated)
        if self.ended:
            self.reason = end_reason(self.info, terminated=terminated)

    def lap(self) -> Lap:
        """Returns the record of what was driven."""
        finished = bool(self.info.get("finished"))
        return Lap(
            seed=self._seed,
            actions=tuple(self.actions),
            finished=finished,
            lap_time_ms=float(self.info["lap_time_ms"]) if finished else None,
            split_times_ms=tuple(float(split) for split in self.info.get("split_times_ms", ())),
            episode_return=self.episode_return,
            reason=self.reason,
            progress_m=self.progress_m,
        )
