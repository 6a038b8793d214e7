"""One process of a joined actor on a machine: two would share a spool and fence each other."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from common.errors import ConfigError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class JoinedLock:
    """Holds a file while its block runs; the system lets go when the process dies.

    Args:
        file: made where it is missing.
        name: of the actor, for the message.
    """

    def __init__(self, file: Path, *, name: str) -> None:
        self._file = file
        self._name = name
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            ConfigError: another process has it.
        """
        stream = self._file.open("a+b")
        try:
            _lock(stream)
        except OSError as error:
            stream.close()
            raise ConfigError(
                f"The actor {self._name!r} drives on this machine already.",
                "another process holds its spool (the scheduled task, or another window?)",
                "end that one first, or join by a name of its own: apexmania token create ANOTHER",
            ) from error
        self._stream = stream
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets go."""
        assert self._stream is not None
        self._stream.close()


def _lock(stream: IO[bytes]) -> None:
    if sys.platform == "win32":
        stream.seek(0, os.SEEK_SET)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
