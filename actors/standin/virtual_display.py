"""A private X display without a screen (Xvfb), for a game that nobody has to look at."""

import os
import select
import shutil
import socket
import struct
import time
from pathlib import Path
from typing import Self

from actors.standin.tied_process import TiedProcess
from common.errors import MachineError

SCREEN = "1280x800x24"
_START_TIMEOUT_S = 20.0
_STOP_S = 5.0
_SOCKETS = "/tmp/.X11-unix/X"  # noqa: S108 - where every X server listens
_PROGRAM = "Xvfb"
_HELLO = struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0)
"""How a client of X11 opens a connection; even a server that refuses it answers."""


class VirtualDisplay:
    """An Xvfb on a display number that is free; it ends with us.

    Attributes:
        name: such as ``:7``, for ``DISPLAY``.
    """

    def __init__(self, *, log: Path) -> None:
        """Prepares it; ``start`` starts it.

        Args:
            log: file that takes what Xvfb complains about.
        """
        self._log = log
        self._process: TiedProcess | None = None
        self.name = ""

    @property
    def alive(self) -> bool:
        """Whether the X server runs."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """Process id of the X server, None before it is started and after it is stopped."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the X server and waits until it takes connections.

        Raises:
            MachineError: it is not installed, or does not come up.
        """
        program = shutil.which(_PROGRAM)
        if program is None:
            raise MachineError(
                "Xvfb is not installed.",
                "the stand-in draws into a window, which needs an X display",
                "sudo apt-get install -y --no-install-recommends xvfb xdotool",
            )
        reading, writing = os.pipe()
        try:
            self._process = TiedProcess(
                [
                    program,
                    *("-displayfd", str(writing)),
                    *("-screen", "0", SCREEN),
                    *("-nolisten", "tcp"),
                    "-noreset",
                ],
                log=self._log,
                pass_fds=(writing,),
            )
            os.close(writing)
            writing = -1
            number = self._number(reading)
        except OSError as error:
            raise self._silent(str(error)) from error
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if number is None:
            self.stop()
            raise self._silent("it named no display")
        self.name = f":{number}"

    def answers(self, *, within_s: float) -> bool:
        """Returns whether the X server runs and takes a new client, which a stopped one does not."""
        if not self.alive:
            return False
        path = f"{_SOCKETS}{self.name.removeprefix(':')}"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(within_s)
            try:
                client.connect(path if Path(path).exists() else f"\0{path}")
                client.sendall(_HELLO)
                return len(client.recv(1)) == 1
            except OSError:
                return False

    def stop(self, *, patience_s: float = _STOP_S) -> None:
        """Ends the X server, and with it every window on it.

        Args:
            patience_s: seconds it may take to end by itself.
        """
        if self._process is not None:
            self._process.stop(patience_s=patience_s)
        self._process = None

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self.stop()

    def _number(self, reading: int) -> int | None:
        """Returns the display number that Xvfb writes when it is ready, None where it does not."""
        written = b""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not written.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([reading], [], [], left_s)[0]:
                return None
            part = os.read(reading, 16)
            if not part:
                return None
            written += part
        return int(written)

    def _silent(self, why: str) -> MachineError:
        return MachineError("Xvfb did not start.", why, f"read {self._log}")
