"""The process of a stand-in: ``python -m actors.standin.program`` prints one JSON line when it is ready."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import structlog

from actors.standin.faults import parse_fault
from actors.standin.ports import DEFAULT_CONTROL_PORT, DEFAULT_PAD_PORT
from actors.standin.stand_in import StandIn, StandInOptions
from actors.trackmania.telemetry import DEFAULT_PORT
from common.errors import ApexManiaError

_log = structlog.get_logger()

Facts = dict[str, Any]


def run_stand_in(
    options: StandInOptions,
    *,
    display: str | None = None,
    on_ready: Callable[[Facts], None],
    on_change: Callable[[Facts], None],
    stopped: Callable[[], bool],
) -> str:
    """Plays until it is told to stop, or the game exits; returns why it is over.

    Args:
        options: what to play.
        display: X display, None for ``$DISPLAY``.
        on_ready: takes the first status, when all ports listen and the window is open.
        on_change: takes the status when the state of the race, a fault or a client changed.
        stopped: whether somebody wants it to end.

    Raises:
        ConfigError: there is no such track.
        MachineError: a port is taken, or the X server is not there or gone.
    """
    stand_in = StandIn(options, display=display, now_s=time.monotonic())
    try:
        stand_in.turn(time.monotonic())
        on_ready(stand_in.status())
        noted: object = None
        while stand_in.running and not stopped():
            time.sleep(max(stand_in.next_turn_s - time.monotonic(), 0.0))
            stand_in.turn(time.monotonic())
            marks = stand_in.marks()
            if marks != noted:
                on_change(stand_in.status())
                noted = marks
    finally:
        stand_in.close()
    return stand_in.why_over or "it was told to stop"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a stand-in for another program, mostly ``actors.standin.rig``; logs go to standard error.

    Args:
        arguments: the command line without the program's name; None takes ``sys.argv``.
    """
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asked: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        why = run_stand_in(
            _parsed(arguments),
            on_ready=_print_line,
            on_change=_log_change,
            stopped=lambda: bool(asked),
        )
    except ApexManiaError as error:
        _print_line({"exit_code": error.exit_code, "error": error.args})
        _log.error("standin_failed", what=error.what, why=error.why)
        return error.exit_code
    _log.info("standin_over", why=why)
    return 0


def _parsed(arguments: Sequence[str] | None) -> StandInOptions:
    parser = argparse.ArgumentParser(prog="actors.standin.program", description=__doc__)
    parser.add_argument("--track", default="first-lap")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--pad-port", type=int, default=DEFAULT_PAD_PORT)
    parser.add_argument("--control-port", type=int, default=DEFAULT_CONTROL_PORT)
    parser.add_argument("--fault", action="append", default=[], type=parse_fault)
    parser.add_argument("--autopilot", action="store_true")
    parser.add_argument("--fps", type=int, default=60)
    given = parser.parse_args(arguments)
    return StandInOptions(
        track=given.track,
        port=given.port,
        pad_port=given.pad_port,
        control_port=given.control_port,
        faults=tuple(given.fault),
        autopilot=given.autopilot,
        fps=given.fps,
    )


def _print_line(facts: Facts) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _log_change(status: Facts) -> None:
    _log.info(
        "standin_changed",
        **{name: status[name] for name in ("state", "faults", "clients", "track", "lap_time_ms")},
    )


if __name__ == "__main__":
    sys.exit(main())
