"""Ctrl-C and SIGTERM: once asks for an orderly end, twice ends at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

INTERRUPTED = 130
"""Exit code of a command that somebody interrupted, as shells have it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Counts the requests to stop while its block runs.

    The second one raises KeyboardInterrupt where the main thread happens to be.
    """

    def __init__(self) -> None:
        self._count = 0
        self._cuts = False
        self._before: dict[int, object] = {}

    @property
    def asked(self) -> bool:
        """Whether an orderly end was asked for."""
        return self._count > 0

    def __enter__(self) -> Self:
        """Takes over the signals."""
        for number in _SIGNALS:
            self._before[number] = signal.getsignal(number)
        self.take_over()
        return self

    def take_over(self) -> None:
        """Takes the signals again from whoever took them since: Ray installs handlers of its own."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    @contextmanager
    def cutting_short(self) -> Iterator[None]:
        """Makes the first request raise KeyboardInterrupt too, for work that may be left out."""
        self._cuts = True
        try:
            yield
        finally:
            self._cuts = False

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # as getsignal() returned it

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._cuts or self._count > 1:
            raise KeyboardInterrupt
