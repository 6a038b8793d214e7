"""``apexmania evaluate``: greedy laps with a checkpoint."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deploy.console import lap as lap_text
from deploy.options import Attempts, Json, Seed

Checkpoint = Annotated[Path, Parameter(help="Checkpoint, or a run whose best one is taken.")]


def evaluate(
    checkpoint: Checkpoint,
    /,
    *,
    game: Annotated[str | None, Parameter(help="Another game to drive.")] = None,
    track: Annotated[str | None, Parameter(help="Another track to drive.")] = None,
    episodes: Attempts = 20,
    seed: Seed = 0,
    video: Annotated[Path | None, Parameter(help="Also film the best lap as this mp4.")] = None,
    json_output: Json = False,
) -> None:
    """Prints finish rate and lap times."""
    from actors.video import check_video_file  # noqa: PLC0415 - torch only when it drives
    from deploy.greedy_laps import open_driver  # noqa: PLC0415 - torch same

    driver = open_driver(checkpoint, game=game, track=track)
    if video is not None:
        check_video_file(video)
    report = driver.evaluate(episodes=episodes, seed=seed)
    if video is not None:
        driver.record(video, lap=report.best_lap)
    values = report.to_dict()
    if json_output:
        print(json.dumps({"checkpoint": str(driver.folder), "seed": seed, **values}, indent=2))
        return
    print(f"checkpoint   {driver.folder}")
    print(f"finished     {report.finishes} of {report.episodes} ({100 * report.finish_rate:.0f} %)")
    for name in ("best", "median", "mean"):
        print(f"{name:<12} {lap_text(values[f'lap_{name}_ms'])}")
    print(f"reward       {report.mean_return:.2f} in the mean")
