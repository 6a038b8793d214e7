"""What greedy laps say about a policy."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Smaller is better: the faster finish, or where there is none the larger return."""
        return self.lap_time_ms is None, self.lap_time_ms or 0.0, -self.episode_return

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
        faults: how often the game broke by cause; what it broke is not among the attempts.
    """

    param_version: int
    laps: tuple[Lap, ...]
    faults: Mapping[str, int] = field(default_factory=dict)

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
        return min(self.laps, key=lambda lap: lap.rank)

    @property
    def best_splits_ms(self) -> tuple[float, ...]:
        """The shortest time to each checkpoint that any attempt reached, milliseconds."""
        splits = [lap.split_times_ms for lap in self.laps]
        return tuple(
            min(times[place] for times in splits if len(times) > place)
            for place in range(max(map(len, splits)))
        )

    @property
    def end_reasons(self) -> dict[str, int]:
        """How many attempts ended for which reason, the most frequent first."""
        return dict(Counter(lap.reason for lap in self.laps).most_common())

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
            "lap_worst_ms": max(times, default=None),
            "lap_spread_ms": max(times) - min(times) if times else None,
            "lap_std_ms": statistics.pstdev(times) if times else None,
            "best_splits_ms": list(self.best_splits_ms),
            "return_mean": self.mean_return,
            "return_std": statistics.pstdev(returns),
            "progress_mean_m": statistics.fmean(lap.progress_m for lap in self.laps),
            "progress_furthest_m": max(lap.progress_m for lap in self.laps),
            "end_reasons": self.end_reasons,
            "faults": dict(self.faults),
            "best_lap": {**best.to_dict(), "actions": list(best.actions)},
            "laps": [lap.to_dict() for lap in self.laps],
        }
