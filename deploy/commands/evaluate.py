"""``apexmania evaluate``: greedy laps with one checkpoint or several."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from common.errors import ConfigError
from deploy.interrupts import INTERRUPTED
from deploy.options import Attempts, Json, Seed, Settings

if TYPE_CHECKING:
    from deploy.greedy_laps import Driver

Checkpoint = Annotated[Path, Parameter(help="Checkpoint, or a run whose best one is taken.")]
OtherGame = Annotated[
    str | None, Parameter(help="Another game to drive: sim, standin or tm20.", show_default=False)
]
OtherTrack = Annotated[str | None, Parameter(help="Another track to drive.", show_default=False)]
_HEADS = ("finished", "best", "median", "mean", "worst", "std", "reward", "faults")


def evaluate(
    checkpoints: Annotated[
        tuple[Path, ...],
        Parameter(help="Checkpoints, or runs whose best one is taken.", show_default=False),
    ],
    /,
    *,
    game: OtherGame = None,
    track: OtherTrack = None,
    settings: Settings = (),
    episodes: Attempts = 20,
    seed: Seed = 0,
    all_checkpoints: Annotated[
        bool, Parameter(help="Every checkpoint of the runs, one row each.", show_default=False)
    ] = False,
    video: Annotated[Path | None, Parameter(help="Also film the best lap as this mp4.")] = None,
    json_output: Json = False,
) -> int:
    """Prints finish rate, lap times and split times; after Ctrl-C, those of the laps so far."""
    from actors.video import check_video_file  # noqa: PLC0415 - torch only when it drives
    from deploy import greedy_laps  # noqa: PLC0415 - torch same
    from deploy.command_logging import log_to_stderr  # noqa: PLC0415 - with what it drives

    paths = list(checkpoints)
    if all_checkpoints:
        paths = [found for path in paths for found in greedy_laps.all_checkpoints(path)]
    drivers = [
        greedy_laps.open_driver(path, game=game, track=track, settings=settings) for path in paths
    ]
    several = len(drivers) > 1 or all_checkpoints
    if video is not None:
        if several:
            raise ConfigError(
                "A video shows the best lap of one checkpoint.",
                f"{len(drivers)} checkpoints are evaluated",
                f"apexmania record {paths[0]} --out {video}",
            )
        check_video_file(video)
    with log_to_stderr():
        if several:
            whole = _evaluate_all(drivers, episodes=episodes, seed=seed, json_output=json_output)
        else:
            whole = _evaluate_one(
                drivers[0], episodes=episodes, seed=seed, video=video, json_output=json_output
            )
    return 0 if whole else INTERRUPTED


def _evaluate_one(
    driver: "Driver", *, episodes: int, seed: int, video: Path | None, json_output: bool
) -> bool:
    """Prints the report; returns whether all laps were driven."""
    from deploy.lap_news import LapNews, drive_laps  # noqa: PLC0415 - only when it drives

    news = LapNews(episodes=episodes)
    report, whole = drive_laps(driver, news, episodes=episodes, seed=seed, film=video is not None)
    if video is not None:
        driver.record(video, lap=report.best_lap)
    values = {
        "checkpoint": str(driver.folder),
        "seed": seed,
        "interrupted": not whole,
        **report.to_dict(),
    }
    if json_output:
        print(json.dumps(values, indent=2))
    else:
        _print_one(values)
    return whole


def _evaluate_all(drivers: "list[Driver]", *, episodes: int, seed: int, json_output: bool) -> bool:
    """Drives one after another; neighbours of the same game share it, and no two games run at once.

    Returns:
        Whether all laps were driven.
    """
    reports: list[dict[str, Any]] = []
    names = _names([driver.folder for driver in drivers])
    width = max(map(len, names))
    if not json_output:
        print(f"{'checkpoint':<{width}}" + "".join(f"{head:>10}" for head in _HEADS), flush=True)
    named = list(zip(names, drivers, strict=True))
    whole = True
    try:
        for name, values in _each(named, episodes=episodes, seed=seed):
            whole = not values["interrupted"]
            reports.append(values)
            if not json_output:
                print(f"{name:<{width}}" + _cells(values), flush=True)
    except KeyboardInterrupt:
        whole = False
    if json_output:
        print(json.dumps({"seed": seed, "evaluations": reports}, indent=2))
    return whole


def _each(
    named: "list[tuple[str, Driver]]", *, episodes: int, seed: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name and the values of one checkpoint after the other, until somebody interrupts."""
    from deploy.lap_news import LapNews, drive_laps  # noqa: PLC0415 - only when it drives

    for _, group in groupby(named, lambda pair: pair[1].game_key):
        sharing = list(group)
        with closing(sharing[0][1].open()) as link:
            real_time = bool(link.open().metadata.get("real_time", False))
            for name, driver in sharing:
                news = LapNews(episodes=episodes, name=name, quiet=not real_time)
                report, whole = drive_laps(driver, news, episodes=episodes, seed=seed, link=link)
                values = {"checkpoint": str(driver.folder), "interrupted": not whole}
                yield name, values | report.to_dict()
                if not whole:
                    return


def _names(folders: list[Path]) -> list[str]:
    """Returns the names of the checkpoints, with their runs where they come from several."""
    if len({folder.parent for folder in folders}) == 1:
        return [folder.name for folder in folders]
    return [f"{folder.parent.parent.name}/{folder.name}" for folder in folders]


def _cells(values: dict[str, Any]) -> str:
    times = [
        _seconds(values[f"lap_{key}_ms"]) for key in ("best", "median", "mean", "worst", "std")
    ]
    cells = (
        f"{values['finishes']}/{values['episodes']}",
        *times,
        f"{values['return_mean']:.2f}",
        str(sum(values["faults"].values())),
    )
    return "".join(f"{cell:>10}" for cell in cells)


def _print_one(values: dict[str, Any]) -> None:
    share = 100 * values["finish_rate"]
    print(f"checkpoint   {values['checkpoint']}")
    print(f"finished     {values['finishes']} of {values['episodes']} ({share:.0f} %)")
    for name in ("best", "median", "mean", "worst"):
        print(f"{name:<12} {_seconds(values[f'lap_{name}_ms'], unit=' s')}")
    spread, std = (_seconds(values[f"lap_{name}_ms"], unit=" s") for name in ("spread", "std"))
    print(f"spread       {spread}, standard deviation {std}")
    if values["best_splits_ms"]:
        splits = "  ".join(_seconds(split) for split in values["best_splits_ms"])
        print(f"best splits  {splits} s")
    print(f"reward       {values['return_mean']:.2f} in the mean")
    ends = ", ".join(f"{reason} {count}" for reason, count in values["end_reasons"].items())
    print(f"ends         {ends}")
    mean_m, furthest_m = values["progress_mean_m"], values["progress_furthest_m"]
    print(f"distance     {mean_m:,.0f} m in the mean, {furthest_m:,.0f} m the furthest")
    if values["faults"]:
        causes = ", ".join(f"{cause} {count}" for cause, count in sorted(values["faults"].items()))
        print(f"faults       {causes}; what they broke was driven again")


def _seconds(time_ms: float | None, *, unit: str = "") -> str:
    """Returns milliseconds as seconds, to the millisecond."""
    return "-" if time_ms is None else f"{time_ms / 1000:.3f}{unit}"
