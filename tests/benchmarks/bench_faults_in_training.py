"""How a running training takes each fault of the stand-in: a Markdown table, from the actor's heartbeats.

Run with ``python -m tests.benchmarks.bench_faults_in_training [fault ...]``; it starts a training of its own,
needs Xvfb and xdotool, and takes about three minutes.

A fault is noticed when the actor's heartbeat counts it, and over when the actor drives again; both are
late by up to one heartbeat.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from actors.standin.control import StandInControl
from actors.standin.faults import FAULTS
from common.errors import UnreachableError
from deploy.live_run import read_hearts
from deploy.run_folder import RunFolder

ACTOR = "actor-0"
# A shell that runs this in the background has its children ignore SIGINT.
_INTERRUPTIBLE_TRAIN = """
import signal, sys
from deploy.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(["train", *sys.argv[1:]]))
"""
_LIMIT_S = 90.0
_LOOK_S = 0.05
_SETTLE_S = 6.0
_NOT_TAKEN = ("stubborn", "slow")  # they bend a new window or the pace, and end no attempt


def main() -> None:
    """Prints one row for each fault that is named, or for all."""
    names = sys.argv[1:] or [name for name in FAULTS if name not in _NOT_TAKEN]
    with _training() as folder:
        print("| fault | cause | noticed after | drives again after | cut | dropped |")
        print("|---|---|---|---|---|---|")
        for name in names:
            print(_row(folder, name), flush=True)


@contextmanager
def _training() -> Iterator[RunFolder]:
    """Yields a run that goes on with two actors and frequent heartbeats, and ends it afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as place:
        folder = RunFolder(Path(place) / "run")
        command = [
            *(sys.executable, "-c", _INTERRUPTIBLE_TRAIN),
            *("--preset", "quickstart", "--game", "standin", "--actors", "2"),
            *("--set", "actors.heartbeat_s=0.2", "--set", "evaluation.every_s=0"),
            *("--run-dir", str(folder.path)),
        ]
        with (
            (Path(place) / "train.log").open("w", encoding="utf-8") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as training,
        ):
            try:
                _wait(lambda: ACTOR in read_hearts(folder))
                yield folder
            finally:
                training.send_signal(signal.SIGINT)


def _row(folder: RunFolder, name: str) -> str:
    """Strikes a fault and follows the actor until it drives again."""
    _wait(lambda: _heart(folder)["game_state"] == "driving")
    time.sleep(_SETTLE_S)
    before = _heart(folder)
    _control(before["pid"]).fault(name)
    struck_s = time.monotonic()
    _wait(lambda: _heart(folder)["faults"] > before["faults"])
    noticed_s = time.monotonic() - struck_s
    steps = _heart(folder)["env_steps"]
    _wait(lambda: _heart(folder)["env_steps"] > steps)
    back_s = time.monotonic() - struck_s
    after = _heart(folder)
    causes = [
        cause
        for cause, count in after["fault_causes"].items()
        if count > before["fault_causes"].get(cause, 0)
    ]
    cut = after["faults"] - before["faults"]
    lost = after["dropped_transitions"] - before["dropped_transitions"]
    return f"| {name} | {', '.join(causes)} | {noticed_s:.1f} s | {back_s:.1f} s | {cut} | {lost} |"


def _heart(folder: RunFolder) -> dict[str, Any]:
    """Returns the actor's newest heartbeat, which a busy moment may have let expire."""
    until_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < until_s:
        hearts = read_hearts(folder)
        if ACTOR in hearts:
            return hearts[ACTOR]
        time.sleep(_LOOK_S)
    raise SystemExit(f"{ACTOR} has no heartbeat")


def _control(pid: int) -> StandInControl:
    """Returns the switches of the stand-in that an actor's process started."""
    for child in psutil.Process(pid).children(recursive=True):
        if "actors.standin.program" not in child.cmdline():
            continue
        for connection in child.net_connections("tcp"):
            control = StandInControl(connection.laddr.port)
            try:
                if connection.status == psutil.CONN_LISTEN and "faults" in control.status():
                    return control
            except UnreachableError:
                continue  # the telemetry's port
    raise SystemExit(f"process {pid} has no stand-in")


def _wait(happened: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _LIMIT_S
    while not happened():
        if time.monotonic() > until_s:
            raise SystemExit(f"nothing happened within {_LIMIT_S:.0f} s")
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main()
