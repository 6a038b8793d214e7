"""Child processes that do not outlive us: a Linux child is told to stop when its parent dies."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_EXEC_WITH_DEATH_SIGNAL = (
    "import ctypes, os, sys; "
    "ctypes.CDLL(None).prctl(1, int(sys.argv[1])); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


def start(
    command: Sequence[str | Path],
    *,
    log: Path | None,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a program in its own session, so that Ctrl-C in the terminal does not reach it.

    Start it from a thread that lives as long as the child should: the kernel's signal follows the
    thread that started it.

    Args:
        command: absolute path of the program, and its arguments.
        log: file that takes its output; None leaves it where ours goes.
        folder: its working folder.
        environment: its whole environment, or None for ours.
    """
    words = [str(word) for word in command]
    if sys.platform == "linux":
        words = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _EXEC_WITH_DEATH_SIGNAL,
            str(int(signal.SIGTERM)),
            *words,
        ]
    with contextlib.nullcontext() if log is None else log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own command line
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            cwd=folder,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], *, patience_s: float) -> None:
    """Ends a child: asks first, kills after the patience is over.

    Args:
        process: the child.
        patience_s: seconds it may take to end by itself.
    """
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
