"""``apexmania game record-line`` and ``game import-line``: the reward line of a map."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from actors.trackmania.telemetry import DEFAULT_PORT
from common.errors import ConfigError
from deploy.options import Json

if TYPE_CHECKING:
    from actors.trackmania.reward_line import RewardLine

_PLAIN_EVERY_S = 5.0
_LONGEST_NAME = 100
_TRACK = "first-lap"
_STATES = {
    "refused": "the plugin does not listen yet",
    "silent": "connected; no car yet - load the map and start it",
    "stalled": "telemetry has stopped - go back to the map",
    "closed": "the plugin closed the connection - connecting again",
    "misframed": "these bytes are no telemetry - connecting again",
    "waiting": "restart the race now, then drive to the finish",
    "finished": "finished - restart the race for the next lap",
}

Name = Annotated[str, Parameter(help="What to call the map.")]
Out = Annotated[
    Path | None, Parameter(help="The .npz to write; by default lines/NAME.npz.", show_default=False)
]
Force = Annotated[bool, Parameter(help="Replace the file if it is there.", show_default=False)]


def record_line(
    *,
    name: Name,
    out: Out = None,
    game: Annotated[
        Literal["tm20", "standin"],
        Parameter(help="tm20: you drive; standin: it drives itself on --track."),
    ] = "tm20",
    track: Annotated[
        str | None,
        Parameter(help=f"Track of the stand-in, {_TRACK} unless set.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        Parameter(
            help=f"Port of tm20's plugin on this machine, {DEFAULT_PORT} unless set.",
            validator=validators.Number(gte=1, lte=65535),
            show_default=False,
        ),
    ] = None,
    laps: Annotated[
        int,
        Parameter(help="Laps to take; the fastest is kept.", validator=validators.Number(gte=1)),
    ] = 1,
    timeout: Annotated[
        float, Parameter(help="Seconds to wait for the laps.", validator=validators.Number(gt=0))
    ] = 900.0,
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Prints the file that it wrote."""
    from deploy.command_logging import log_to_stderr  # noqa: PLC0415 - with what it runs
    from deploy.line_recorder import LineRecorder, Patience  # noqa: PLC0415 - numpy only when it runs

    file = _free_file(name, out, force=force)
    watcher = _Terminal()
    if game == "tm20":
        if track is not None:
            watcher.say("ignored: --track, since TrackMania drives the map that you load.")
        watcher.say(
            "Load the map in TrackMania. Restart the race (Delete, or B on the gamepad), "
            "then drive to the finish without respawning."
        )
    elif port is not None:
        watcher.say("ignored: --port, since the stand-in is started for this on a free one.")
    recorder = LineRecorder(name, laps=laps, patience=Patience(laps_s=timeout), watcher=watcher)
    source = _game_port(track or _TRACK) if game == "standin" else nullcontext(port or DEFAULT_PORT)
    with log_to_stderr(), source as telemetry_port:
        lap = recorder.run(telemetry_port)
    facts: dict[str, Any] = {}
    if game == "standin":
        facts["track"] = track or _TRACK
        if not json_output:
            note = "" if track else " (unless --track names another)"
            print(f"track     {facts['track']}{note}")
    facts |= {"seconds": lap.seconds, "messages": lap.messages, "fastest_mps": lap.fastest_mps}
    _write(lap.line, file, facts, json_output=json_output)


def import_line(
    reward_file: Annotated[Path, Parameter(help="reward.pkl, as tmrl recorded it.")],
    /,
    *,
    name: Name,
    out: Out = None,
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Prints the file that it wrote."""
    from actors.trackmania.line_recording import line_of  # noqa: PLC0415 - numpy only when it runs
    from actors.trackmania.reward_pickle import read_reward_pickle  # noqa: PLC0415 - same

    file = _free_file(name, out, force=force)
    positions = read_reward_pickle(reward_file)
    line = line_of(name, positions)
    _write(line, file, {"positions": len(positions)}, json_output=json_output)


def _free_file(name: str, out: Path | None, *, force: bool) -> Path:
    """Returns where the line goes, checked before anybody drives for it."""
    from actors.trackmania.reward_line import check_line_file  # noqa: PLC0415 - numpy only when it runs

    _check_name(name)
    file = out or Path("lines") / f"{name}.npz"
    check_line_file(file)
    if file.exists() and not force:
        raise ConfigError(
            f"The file {file} is there already.",
            "a reward line is replaced only when you say so: policies were trained on it",
            f"add --force, or name another file: --out {file.with_stem(file.stem + '-2')}",
        )
    return file


def _check_name(name: str) -> None:
    """Refuses a name that is no plain file name: by default the file is called after it.

    Raises:
        ConfigError: it is none.
    """
    if not name.strip():
        why = "it is empty"
    elif len(name.encode()) > _LONGEST_NAME:
        why = f"it is longer than {_LONGEST_NAME} bytes"
    elif "/" in name or "\\" in name or not name.isprintable():
        why = "it holds a slash, or a character that cannot be seen"
    elif not name.strip(". "):
        why = "it is nothing but dots"
    else:
        return
    raise ConfigError(
        f"{name[:_LONGEST_NAME]!r} cannot be the name of a map.",
        f"{why}, and the line is saved under this name",
        "--name my-map; to save it elsewhere: --out FOLDER/FILE.npz",
    )


@contextmanager
def _game_port(track: str) -> Iterator[int]:
    """Gives the port of the telemetry of a stand-in that is started for it, and drives itself."""
    from actors.sim.catalogue import load_track  # noqa: PLC0415 - numba and X only when it is asked
    from actors.standin.rig import StandInRig  # noqa: PLC0415 - same

    load_track(track)
    with (
        tempfile.TemporaryDirectory(prefix="apexmania-line-") as folder,
        StandInRig(track, folder=Path(folder), autopilot=True) as rig,
    ):
        yield rig.telemetry_port


def _write(line: "RewardLine", file: Path, facts: dict[str, Any], *, json_output: bool) -> None:
    """Writes line and picture, and prints what was found."""
    from actors.trackmania.reward_line import save_line  # noqa: PLC0415 - numpy only when it runs
    from deploy.line_plot import draw_line  # noqa: PLC0415 - matplotlib only when it draws

    picture = file.with_suffix(".png")
    save_line(line, file)
    draw_line(line, picture)
    if json_output:
        values = {
            "name": line.name,
            "length_m": round(line.length_m, 1),
            "start": line.start,
            "points": len(line.points),
            "sha256": line.content_hash,
            **facts,
            "file": str(file),
            "picture": str(picture),
        }
        print(json.dumps(values, indent=2))
        return
    start = ", ".join(f"{value:.2f}" for value in line.start)
    print(f"map       {line.name}")
    print(f"length    {line.length_m:,.1f} m, {len(line.points):,} points")
    print(f"start     {start} (x, y, z in m)")
    if "seconds" in facts:
        print(f"lap       {facts['seconds']:.2f} s from the restart, countdown included")
        print(f"fastest   {3.6 * facts['fastest_mps']:.0f} km/h")
        print(f"messages  {facts['messages']:,}")
    print(f"line      {file}")
    print(f"picture   {picture}")
    print(f"to use    --set game.trackmania.reward_line={file}")


class _Terminal:
    """Tells the driver on standard error how the recording goes."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._width = 0
        self._due_s = 0.0
        self._state = ""

    def show(self, state: str, *, driven_m: float, speed_mps: float) -> None:
        """Shows the state in one line that is written over, or now and then where that cannot be."""
        text = _STATES.get(state, f"{driven_m:8,.0f} m  {3.6 * speed_mps:4.0f} km/h")
        if self._live:
            sys.stderr.write("\r" + text.ljust(self._width))
            sys.stderr.flush()
            self._width = len(text)
        elif time.monotonic() >= self._due_s or state != self._state:
            self._due_s = time.monotonic() + _PLAIN_EVERY_S
            sys.stderr.write(text.strip() + "\n")
        self._state = state

    def say(self, text: str) -> None:
        """Writes a line that stays."""
        clear = "\r" + " " * self._width + "\r" if self._width else ""
        self._width = 0
        sys.stderr.write(f"{clear}{text}\n")
