"""``apexmania record``: a lap as a video."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deploy.commands.evaluate import Checkpoint, OtherGame, OtherTrack
from deploy.interrupts import INTERRUPTED
from deploy.options import Attempts, Seed, Settings


def record(
    checkpoint: Checkpoint,
    /,
    *,
    out: Annotated[Path, Parameter(help="The mp4 to write.")] = Path("lap.mp4"),
    game: OtherGame = None,
    track: OtherTrack = None,
    settings: Settings = (),
    attempts: Attempts = 1,
    seed: Seed = 0,
) -> int:
    """Prints the file that it wrote; after Ctrl-C, with the best of the laps so far."""
    from actors.video import check_video_file  # noqa: PLC0415 - torch only when it drives
    from deploy.command_logging import log_to_stderr  # noqa: PLC0415 - with what it drives
    from deploy.greedy_laps import open_driver  # noqa: PLC0415 - torch same
    from deploy.lap_news import LapNews, drive_laps, outcome  # noqa: PLC0415 - torch same

    driver = open_driver(checkpoint, game=game, track=track, settings=settings)
    check_video_file(out)
    there = "overwritten" if out.exists() else "written"
    with log_to_stderr():
        news = LapNews(episodes=attempts)
        report, whole = drive_laps(driver, news, episodes=attempts, seed=seed, film=True)
        driver.record(out, lap=report.best_lap)
    sys.stderr.write(f"{there}: {out} ({outcome(report.best_lap)})\n")
    print(out)
    return 0 if whole else INTERRUPTED
