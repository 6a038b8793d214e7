"""What is known about a run: the newest rows and the running totals, for console, summary and status."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from common.evaluation_score import Score, evaluation_score

Row = dict[str, Any]
_RECENT = 100
_FAULT = "fault"
"""An actor's word, with the cause behind a colon, for an end that no game ever chose."""


@dataclass(slots=True)
class RunProgress:
    """Totals over the rows of one run, however often it was resumed.

    Attributes:
        metrics: newest row of learner metrics.
        evaluation: newest greedy evaluation.
        best_evaluation: evaluation with the best score, as the kept checkpoint.
        hearts: newest heartbeat of each process.
        evaluations: greedy evaluations.
        env_steps: env steps of the fleet.
        episodes: finished episodes of the fleet.
        finishes: episodes that reached the finish line.
        best_lap_ms: shortest lap while training, or None.
        best_lap_episode: number of the episode that drove it.
        faults: episodes that a fault of the game ended, by its cause.
        returns: returns of the newest episodes.
        staleness_sum: sum of the metric rows' mean staleness (learner steps).
        staleness_max: largest staleness seen (learner steps).
        metric_rows: rows of learner metrics.
        first_sample_size: transitions that the replay must hold before the first learner step; 0 where
            nobody follows the run.
        health: the health checks in one line; empty before the first.
    """

    metrics: Row = field(default_factory=dict)
    evaluation: Row = field(default_factory=dict)
    best_evaluation: Row = field(default_factory=dict)
    hearts: dict[str, Row] = field(default_factory=dict)
    evaluations: int = 0
    env_steps: int = 0
    episodes: int = 0
    finishes: int = 0
    best_lap_ms: float | None = None
    best_lap_episode: int | None = None
    faults: Counter[str] = field(default_factory=Counter)
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    staleness_sum: float = 0.0
    staleness_max: float = 0.0
    metric_rows: int = 0
    first_sample_size: int = 0
    health: str = ""

    @property
    def learner_steps(self) -> int:
        """Learner steps of the newest metrics."""
        return int(self.metrics.get("learner_steps", 0))

    @property
    def recent_return(self) -> float | None:
        """Mean return of the newest episodes."""
        return sum(self.returns) / len(self.returns) if self.returns else None

    @property
    def staleness_mean(self) -> float | None:
        """Mean staleness over all metric rows (learner steps)."""
        return self.staleness_sum / self.metric_rows if self.metric_rows else None

    def add_metrics(self, row: Row) -> None:
        """Takes a row of learner metrics."""
        self.metrics = row
        self.metric_rows += 1
        self.env_steps = max(self.env_steps, int(row["env_steps"]))
        self.staleness_sum += float(row.get("staleness_mean") or 0.0)
        self.staleness_max = max(self.staleness_max, float(row.get("staleness_max") or 0.0))

    def add_episode(self, row: Row) -> None:
        """Takes a finished episode."""
        self.episodes += 1
        self.returns.append(float(row["return"]))
        self.env_steps = max(self.env_steps, int(row["env_steps"]))
        ending, _, cause = str(row.get("reason")).partition(":")
        if ending == _FAULT:
            self.faults[cause] += 1
        lap_ms = row.get("finish_ms")
        if lap_ms is not None:
            self.finishes += 1
            if self.best_lap_ms is None or lap_ms < self.best_lap_ms:
                self.best_lap_ms, self.best_lap_episode = float(lap_ms), int(row["n"])

    def add_evaluation(self, row: Row) -> None:
        """Takes a greedy evaluation."""
        self.evaluation = row
        self.evaluations += 1
        if not self.best_evaluation or _score(row) >= _score(self.best_evaluation):
            self.best_evaluation = row


def _score(row: Row) -> Score:
    lap_mean_ms = row.get("lap_mean_ms")
    return evaluation_score(
        finish_rate=float(row["finish_rate"]),
        lap_mean_ms=None if lap_mean_ms is None else float(lap_mean_ms),
        return_mean=float(row.get("return_mean") or 0.0),
    )
