"""``apexmania game standin`` and ``game fault``: the simulated TrackMania, and what can go wrong with it."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, validators

from actors.standin.ports import DEFAULT_CONTROL_PORT, DEFAULT_PAD_PORT, check_free
from actors.trackmania.telemetry import DEFAULT_PORT
from common.errors import MachineError

_Port = validators.Number(gte=0, lte=65535)


def standin(
    *,
    track: Annotated[
        str, Parameter(help="Track of the catalogue, or generated:SEED.")
    ] = "first-lap",
    port: Annotated[
        int, Parameter(help="TCP port of the telemetry; 0 takes a free one.", validator=_Port)
    ] = DEFAULT_PORT,
    pad_port: Annotated[
        int, Parameter(help="UDP port of the gamepad; 0 takes a free one.", validator=_Port)
    ] = DEFAULT_PAD_PORT,
    control_port: Annotated[
        int, Parameter(help="TCP port of faults and status; 0 takes a free one.", validator=_Port)
    ] = DEFAULT_CONTROL_PORT,
    fault: Annotated[
        tuple[str, ...],
        Parameter(
            help="A fault that comes by itself, as NAME[@AFTER_S[+FOR_S]]; may be repeated.",
            show_default=False,
        ),
    ] = (),
    autopilot: Annotated[
        bool, Parameter(help="The car drives itself, lap after lap.", show_default=False)
    ] = False,
    fps: Annotated[int, Parameter(help="Pictures and messages a second.")] = 60,
) -> None:
    """Prints how to reach it, then every change, until Ctrl-C."""
    if sys.platform == "win32":
        raise MachineError(
            "The stand-in does not run on Windows.",
            "it draws into an X11 window, which Windows does not have",
            "run it on Linux or in WSL 2; on Windows there is the real TrackMania",
        )
    from actors.sim.catalogue import load_track  # noqa: PLC0415 - numba and X only when it runs
    from actors.standin.faults import parse_fault  # noqa: PLC0415 - same
    from actors.standin.program import run_stand_in  # noqa: PLC0415 - same
    from actors.standin.stand_in import StandInOptions  # noqa: PLC0415 - same
    from deploy.interrupts import Interrupts  # noqa: PLC0415 - same

    options = StandInOptions(
        track=track,
        port=port,
        pad_port=pad_port,
        control_port=control_port,
        faults=tuple(parse_fault(text) for text in fault),
        autopilot=autopilot,
        fps=fps,
    )
    load_track(track)
    check_free(port, pad_port, control_port)
    began_s = time.monotonic()
    with _display() as display, Interrupts() as interrupts:
        why = run_stand_in(
            options,
            display=display,
            on_ready=lambda status: _say_how_to_reach(status, display),
            on_change=lambda status: _say_change(status, time.monotonic() - began_s),
            stopped=lambda: interrupts.asked,
        )
    print(f"The stand-in is over: {why}.", flush=True)


def fault(
    name: Annotated[
        str,
        Parameter(
            help="drop, stall, freeze, window, misframe, close, map, menu, deaf, stubborn, slow; or heal."
        ),
    ],
    /,
    *,
    control: Annotated[
        int,
        Parameter(
            help="Control port of the stand-in.", validator=validators.Number(gte=1, lte=65535)
        ),
    ] = DEFAULT_CONTROL_PORT,
    seconds: Annotated[
        float | None,
        Parameter(
            help="How long it holds; by default until it is healed.",
            validator=validators.Number(gte=0),
            show_default=False,
        ),
    ] = None,
) -> None:
    """Prints what the stand-in does now."""
    from actors.standin.control import StandInControl  # noqa: PLC0415 - only when it is typed
    from actors.standin.faults import FAULTS, HEAL, MOMENTARY  # noqa: PLC0415 - same

    link = StandInControl(control)
    if name == HEAL:
        link.heal()
        print("healed: no fault holds any more")
        return
    noticed = link.fault(name, seconds)
    if name not in MOMENTARY:
        span = f"for {seconds:g} s" if seconds is not None else "until: apexmania game fault heal"
        print(f"{name}: {FAULTS[name]}; {span}")
    elif name == "drop" and not noticed:
        print("drop: no client is connected")
    elif name == "misframe" and not noticed:
        print(
            "misframe: no client is connected; the next one gets it, or: apexmania game fault heal"
        )
    else:
        print(f"{name}: {FAULTS[name]}")


@contextmanager
def _display() -> Iterator[str]:
    """Gives the display to draw on; where the environment names none, a private one is started."""
    given = os.environ.get("DISPLAY", "")
    if given:
        yield given
        return
    from actors.standin.virtual_display import VirtualDisplay  # noqa: PLC0415 - only where it is needed

    with (
        tempfile.TemporaryDirectory(prefix="apexmania-standin-") as folder,
        VirtualDisplay(log=Path(folder) / "xvfb.log") as screen,
    ):
        print(f"DISPLAY is not set, so this is on a private display: {screen.name}", flush=True)
        yield screen.name


def _say_how_to_reach(status: dict[str, Any], display: str) -> None:
    control = status["control_port"]
    print(f"Stand-in for TrackMania, track {status['track']}. Ctrl-C ends it.")
    print(f"window     titled Trackmania   export DISPLAY={display}")
    print(
        f"gamepad    UDP {status['pad_port']:<5}           export APEXMANIA_PAD_PORT={status['pad_port']}"
    )
    print(
        f"telemetry  127.0.0.1:{status['port']:<5}     44 bytes with every picture, to one client"
    )
    print(
        f"faults     127.0.0.1:{control:<5}     apexmania game fault stall --seconds 5 --control {control}"
    )
    print("keys       arrows drive, BackSpace restarts", flush=True)


def _say_change(status: dict[str, Any], elapsed_s: float) -> None:
    lap = status["lap_time_ms"]
    parts = [
        f"{elapsed_s:8.1f} s  {status['state']:<9}  {status['track']}",
        "a client reads" if status["clients"] else "no client",
    ]
    if status["faults"]:
        parts.append(f"faults: {', '.join(status['faults'])}")
    if status["pending"]:
        parts.append(f"{', '.join(status['pending'])} waits for a client")
    if lap is not None:
        parts.append(f"lap {lap / 1000:.3f} s")
    print(" | ".join(parts), flush=True)
