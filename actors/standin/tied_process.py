"""A child process that cannot outlive us, not even where we are killed with no time to tidy up.

Linux sends a child a signal when the *thread* that started it ends. So each child gets a thread of its
own here, which starts it and then waits for it. The signal is the one that a stopped process takes too.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_EXEC_WITH_DEATH_SIGNAL = (
    "import ctypes, os, sys; "
    "ctypes.CDLL(None).prctl(1, int(sys.argv[1])); "
    "os.getppid() == int(sys.argv[2]) or sys.exit(1); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


class TiedProcess:
    """A running program whose life is tied to ours.

    Attributes:
        pid: its process id.
        output: what it prints, as bytes.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Starts the program, in a session of its own so that Ctrl-C does not reach it.

        Args:
            command: absolute path of the program, and its arguments.
            log: file that takes its standard error.
            environment: its whole environment, None for ours.
            pass_fds: open files that it inherits.

        Raises:
            OSError: it could not be started.
        """
        self._command = list(command)
        self._log = log
        self._environment = None if environment is None else dict(environment)
        self._pass_fds = tuple(pass_fds)
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="tied-process", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._running.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._running.poll()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    @property
    def output(self) -> IO[bytes]:
        """Its standard output."""
        assert self._running.stdout is not None
        return self._running.stdout

    def stop(self, *, patience_s: float = 5.0) -> None:
        """Ends it: asks first, kills after the patience is over.

        Args:
            patience_s: seconds it may take to end by itself.
        """
        process = self._running
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._thread.join()
        self.output.close()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _attend(self) -> None:
        words = self._command
        if sys.platform == "linux":
            number, parent = str(int(signal.SIGKILL)), str(os.getpid())
            words = [sys.executable, "-I", "-S", "-c", _EXEC_WITH_DEATH_SIGNAL, number, parent]
            words += self._command
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own command line
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment,
                    pass_fds=self._pass_fds,
                    start_new_session=True,
                )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        self._process.wait()
