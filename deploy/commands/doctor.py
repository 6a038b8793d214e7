"""``apexmania doctor``: what is wrong on this machine, or with its game, and how to fix it."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from common.errors import MachineError
from deploy.options import ConfigFile, Json, Preset, Settings

_MARKS = {
    "ok": "[green]ok[/]  ",
    "warn": "[yellow]warn[/]",
    "fail": "[red]fail[/]",
    "skip": "[dim]skip[/]",
}
_NAME_WIDTH = 14


def doctor(
    *,
    role: Annotated[
        str, Parameter(help="What this machine shall do: actor, learner, replay or all.")
    ] = "all",
    game: Annotated[
        Literal["tm20", "standin", "sim"] | None,
        Parameter(
            help="Game to examine too: tm20 (TrackMania 2020, running here), standin (one of our own "
            "is started for it) or sim (nothing to examine). Without it: tm20 with --role actor, "
            "none otherwise."
        ),
    ] = None,
    port: Annotated[
        int | None, Parameter(help="Telemetry port of the game's plugin, 9000 unless set.")
    ] = None,
    reward_line: Annotated[
        Path | None, Parameter(help="Reward line to compare the map with: one .npz or a folder.")
    ] = None,
    config: ConfigFile = None,
    preset: Preset = None,
    settings: Settings = (),
    json_output: Json = False,
) -> int:
    """Prints one line a check; the exit code is 3 where one failed.

    The checks of the game press gas, steer and restart the race; start them on the map, and keep your
    hands off the game for half a minute.
    """
    # psutil, torch and the game's link only where it examines
    from deploy.command_logging import log_to_stderr  # noqa: PLC0415
    from deploy.doctor.examination import ExaminationRequest, examine  # noqa: PLC0415

    request = ExaminationRequest(
        role=role,
        game=game,
        port=port,
        reward_line=reward_line,
        config=config,
        preset=preset,
        settings=settings,
    )
    with log_to_stderr(logging.ERROR):  # what a part has to say comes back as a finding
        examination = examine(request, announce=lambda line: sys.stderr.write(f"{line}\n"))
    if json_output:
        print(json.dumps(examination.to_dict(), indent=2))
    else:
        console = Console()
        for finding in examination.findings:
            console.print(
                f"{_MARKS[finding.level]}  {finding.check:<{_NAME_WIDTH}} {escape(finding.found)}",
                highlight=False,
                soft_wrap=True,
            )
            for label, text in (("fix", finding.fix), ("see", finding.docs)):
                if text:
                    console.print(f"      {label}: {escape(text)}", highlight=False, soft_wrap=True)
    return 0 if examination.passed else MachineError.exit_code
