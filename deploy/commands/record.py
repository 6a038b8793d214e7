"""``apexmania record``: a lap as a video."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deploy.commands.evaluate import Checkpoint, OtherGame, OtherTrack
from deploy.console import lap as lap_text
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
) -> None:
    """Prints the file that it wrote."""
    from actors.video import check_video_file  # noqa: PLC0415 - torch only when it drives
    from deploy.command_logging import log_to_stderr  # noqa: PLC0415 - with what it drives
    from deploy.greedy_laps import open_driver  # noqa: PLC0415 - torch same

    driver = open_driver(checkpoint, game=game, track=track, settings=settings)
    check_video_file(out)
    with log_to_stderr():
        lap = driver.evaluate(episodes=attempts, seed=seed, film=True).best_lap
        driver.record(out, lap=lap)
    outcome = f"finished in {lap_text(lap.lap_time_ms)}" if lap.finished else f"ended: {lap.reason}"
    sys.stderr.write(f"The lap {outcome}.\n")
    print(out)
