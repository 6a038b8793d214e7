"""Ctrl-C and SIGTERM: once asks for an orderly end, twice ends at once."""

import signal
from types import FrameType
from typing import Self


class Interrupts:
    """Counts the requests to stop while its block runs.

    The second one raises KeyboardInterrupt where the main thread happens to be.
    """

    def __init__(self) -> None:
        self._count = 0
        self._before: dict[int, object] = {}

    @property
    def asked(self) -> bool:
        """Whether an orderly end was asked for."""
        return self._count > 0

    def __enter__(self) -> Self:
        """Takes over the signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # as signal() returned it

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 1:
            raise KeyboardInterrupt
