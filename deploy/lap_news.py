"""Tells on standard error how each greedy lap ended, while the next one is driven."""

import sys

from actors.evaluation_report import EvaluationReport, Lap
from actors.game_link import GameLink
from deploy.greedy_laps import Driver


class LapNews:
    """Prints one line a lap, and keeps the report of the laps so far.

    Attributes:
        report: of the laps so far, None before the first; what is left after Ctrl-C.
    """

    def __init__(self, *, episodes: int, name: str = "", quiet: bool = False) -> None:
        """Begins with no lap.

        Args:
            episodes: attempts that were asked for.
            name: of the checkpoint, where several are driven.
            quiet: whether to keep the report only.
        """
        self._episodes = episodes
        self._prefix = f"{name}  " if name else ""
        self._quiet = quiet
        self.report: EvaluationReport | None = None

    def __call__(self, report: EvaluationReport) -> None:
        """Takes the report of the laps so far."""
        self.report = report
        if not self._quiet:
            place = f"{report.episodes} of {self._episodes}"
            sys.stderr.write(f"{self._prefix}{place}: {outcome(report.laps[-1])}\n")
            sys.stderr.flush()


def drive_laps(
    driver: Driver,
    news: LapNews,
    *,
    episodes: int,
    seed: int,
    film: bool = False,
    link: GameLink | None = None,
) -> tuple[EvaluationReport, bool]:
    """Drives the attempts; returns the report, after Ctrl-C of the laps so far, and whether it is whole.

    Args:
        driver: drives.
        news: is told of each lap.
        episodes: attempts.
        seed: seed of the starts.
        film: whether the best lap shall be recorded.
        link: the driver's game where it stays open.

    Raises:
        KeyboardInterrupt: it was interrupted before the first lap had ended.
    """
    try:
        report = driver.evaluate(episodes=episodes, seed=seed, film=film, link=link, on_lap=news)
    except KeyboardInterrupt:
        if news.report is None:
            raise
        sys.stderr.write(f"Interrupted after {news.report.episodes} of {episodes} laps.\n")
        return news.report, False
    return report, True


def outcome(lap: Lap) -> str:
    """Returns how a lap ended, in a few words."""
    if lap.lap_time_ms is not None:
        return f"finished in {lap.lap_time_ms / 1000:.3f} s"
    return f"{lap.reason} at {lap.progress_m:,.0f} m"
