"""When a run is over, and how much of it is left."""

from dataclasses import dataclass

from common.config import Config
from deploy.console import clock
from deploy.run_progress import RunProgress

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class EndConditions:
    """The conditions of one start of a run.

    Attributes:
        config: names them.
        evaluations_before: evaluations that an earlier start of this run already had.
    """

    config: Config
    evaluations_before: int = 0

    def reached(self, progress: RunProgress, *, elapsed_s: float) -> str | None:
        """Returns the reason to end, or None.

        Args:
            progress: totals of the run.
            elapsed_s: seconds since this start's fleet was up.
        """
        run, wanted = self.config.run, self.config.evaluation.stop_at_finish_rate
        if progress.env_steps >= run.max_env_steps:
            return f"run.max_env_steps reached: {progress.env_steps:,} of {run.max_env_steps:,}"
        if run.max_minutes and elapsed_s >= run.max_minutes * _MINUTE_S:
            return f"run.max_minutes reached: {run.max_minutes:g} minutes"
        if wanted is not None and progress.evaluations > self.evaluations_before:
            rate = float(progress.evaluation["finish_rate"])
            if rate >= wanted:
                return (
                    f"evaluation.stop_at_finish_rate reached: a greedy evaluation finished "
                    f"{rate:.0%} of its laps, {wanted:.0%} were asked for"
                )
        return None

    def left(self, progress: RunProgress, *, elapsed_s: float) -> str:
        """Returns what is left until the nearest end, in words."""
        run = self.config.run
        share = min(1.0, progress.env_steps / run.max_env_steps)
        text = f"{share:.1%} of {run.max_env_steps:,} env steps"
        if run.max_minutes:
            text += f", {clock(max(0.0, run.max_minutes * _MINUTE_S - elapsed_s))} left at most"
        return text
