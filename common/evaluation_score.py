"""Which of two greedy evaluations is better, for the checkpoint that is kept and for the summary."""

Score = tuple[float, float]


def evaluation_score(*, finish_rate: float, lap_mean_ms: float | None, return_mean: float) -> Score:
    """Returns a pair of which the larger is better: finishes first, then the mean lap or return.

    Args:
        finish_rate: share of the attempts that crossed the finish line.
        lap_mean_ms: mean time of the finished laps (ms), None where none was finished.
        return_mean: mean undiscounted return of the attempts.
    """
    return finish_rate, return_mean if lap_mean_ms is None else -lap_mean_ms
