"""Finds the game's window and looks at it, from outside and without touching it.

tmrl never checks that its window exists: it photographs whatever is there. This module is how we know.
"""

import sys
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from common.errors import MachineError

TITLE = "Trackmania"
"""The title that tmrl asks for, letter by letter."""

Picture = npt.NDArray[np.uint8]
"""uint8 (height, width, 3), red first."""


class WindowFacts(NamedTuple):
    """Where a window is: its inside without frame and title bar, in pixels of the screen."""

    x: int
    y: int
    width: int
    height: int


class DisplayLostError(MachineError):
    """There is no screen: none is set, or its server does not answer any more."""


class WindowSystem(Protocol):
    """What a platform has to answer."""

    def facts(self, title: str) -> WindowFacts | None:
        """Returns where the visible window of that title is, None without one."""

    def grab(self, facts: WindowFacts) -> Picture | None:
        """Returns the picture there, None where the window went away or lies off the screen."""

    def close(self) -> None:
        """Gives the connection back."""


class WindowWatch:
    """A lasting connection to the screen; a look takes about a millisecond.

    One thread uses it at a time.

    Args:
        title: of the window, exactly.
        display: X display such as ``:0``, None for the one of the environment; Windows has but one.

    Raises:
        DisplayLostError: there is no screen. Every method raises it too.
    """

    def __init__(self, title: str = TITLE, display: str | None = None) -> None:
        self._title = title
        self._system = _window_system(display)

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connection."""
        self.close()

    def facts(self) -> WindowFacts | None:
        """Returns where the window is, None where none of that title is visible."""
        return self._system.facts(self._title)

    def grab(self) -> Picture | None:
        """Returns what the window shows on the screen, None where it is not to be seen."""
        facts = self.facts()
        return None if facts is None else self._system.grab(facts)

    def close(self) -> None:
        """Gives the connection back; a lost one too."""
        self._system.close()


def find_window(title: str = TITLE, display: str | None = None) -> WindowFacts | None:
    """Returns where the window is, for a single look.

    Raises:
        DisplayLostError: there is no screen.
    """
    with WindowWatch(title, display) as watch:
        return watch.facts()


def _window_system(display: str | None) -> WindowSystem:
    if sys.platform == "win32":
        from actors.trackmania.window_win32 import Win32Windows  # noqa: PLC0415 - Windows only

        return Win32Windows()
    from actors.trackmania.window_x11 import X11Windows  # noqa: PLC0415 - needs python-xlib

    return X11Windows(display)
