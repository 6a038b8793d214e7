"""Keeps a joined actor going: a child process drives, and is started again when it dies."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import ConfigError, MismatchError
from deploy import child_process
from deploy.interrupts import Interrupts

FINAL = frozenset({0, ConfigError.exit_code, MismatchError.exit_code})
"""Exit codes after which another start would end the same way."""
_POLL_S = 0.1
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_LONG_ENOUGH_S = 120.0
_DRAIN_PATIENCE_S = 60.0


def own_command(*words: str) -> list[str]:
    """Returns the command line that runs this program again, from wherever it was started."""
    code = "import sys; from deploy.cli import main; sys.exit(main())"
    return [sys.executable, "-P", "-c", code, *words]


def supervise(command: Sequence[str], *, interrupts: Interrupts, say: Callable[[str], None]) -> int:
    """Runs a command until it ends for good or somebody asks for the end, and returns its exit code.

    Args:
        command: what drives.
        interrupts: requests to stop; the first one has the child drain and flush.
        say: tells the person in front of it about restarts.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        began_s = time.monotonic()
        code = _run(command, interrupts)
        if interrupts.asked or code in FINAL:
            return code
        if time.monotonic() - began_s > _LONG_ENOUGH_S:
            pause_s = _FIRST_PAUSE_S
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        say(f"the process that drives ended ({why}); it starts again in {pause_s:.0f} s")
        resume_s = time.monotonic() + pause_s
        while time.monotonic() < resume_s and not interrupts.asked:
            time.sleep(_POLL_S)
        if interrupts.asked:
            return 0
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _run(command: Sequence[str], interrupts: Interrupts) -> int:
    """Runs the child once and returns its exit code."""
    child = child_process.start(command, log=None, folder=Path.cwd())
    kill_s: float | None = None
    try:
        while child.poll() is None:
            if interrupts.asked and kill_s is None:
                kill_s = time.monotonic() + _DRAIN_PATIENCE_S
                _ask_to_end(child)
            if kill_s is not None and time.monotonic() > kill_s:
                break
            time.sleep(_POLL_S)
    finally:
        child_process.stop(child, patience_s=0.0)
    return int(child.returncode)


def _ask_to_end(child: subprocess.Popen[bytes]) -> None:
    """Asks for an orderly end; on Windows the console's Ctrl-C has reached the child already."""
    if sys.platform != "win32":
        child.terminate()
