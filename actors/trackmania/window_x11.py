"""Windows of an X server, through python-xlib."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from actors.trackmania.window_watch import DisplayLostError, Picture, WindowFacts

XWindow = Any
"""A window of python-xlib, which carries no types."""

_DEEPEST = 4
_PIXEL_BYTES = 4


class X11Windows:
    """One connection to an X server.

    Args:
        display: such as ``:0``, None for ``$DISPLAY``.
    """

    def __init__(self, display: str | None) -> None:
        self._name = display if display is not None else os.environ.get("DISPLAY", "")
        if not self._name:
            raise DisplayLostError(
                "DISPLAY is not set.",
                "Without it there is no screen on which a game could be.",
                "Run this in the session that shows the game, or: export DISPLAY=:0",
            )
        self._window: XWindow = None
        _knock(self._name)
        with self._answering():
            from Xlib import display as xlib_display  # noqa: PLC0415 - Linux only

            self._display = xlib_display.Display(self._name)
            self._root = self._display.screen().root
            self._utf8_title = self._display.get_atom("_NET_WM_NAME")

    def facts(self, title: str) -> WindowFacts | None:
        """Returns where the visible window of that title is, None without one."""
        with self._answering():
            if self._window is not None:
                found = self._facts_of(self._window, title)
                if found is not None:
                    return found
                self._window = None
            for window in self._below(self._root, 0):
                found = self._facts_of(window, title)
                if found is not None:
                    self._window = window
                    return found
            return None

    def grab(self, facts: WindowFacts) -> Picture | None:
        """Returns that part of the screen, as tmrl's own camera would see it."""
        from Xlib import X, error  # noqa: PLC0415 - Linux only

        with self._answering():
            screen = self._display.screen()
            left, top = max(facts.x, 0), max(facts.y, 0)
            width = min(facts.x + facts.width, screen.width_in_pixels) - left
            height = min(facts.y + facts.height, screen.height_in_pixels) - top
            if width <= 0 or height <= 0:
                return None
            try:
                answer = self._root.get_image(left, top, width, height, X.ZPixmap, 0xFFFFFFFF)
            except error.XError:
                return None
            data = answer.data if isinstance(answer.data, bytes) else answer.data.encode("latin-1")
            if len(data) != height * width * _PIXEL_BYTES:
                return None
            pixels = np.frombuffer(data, dtype=np.uint8).reshape(height, width, _PIXEL_BYTES)
            return np.ascontiguousarray(pixels[:, :, 2::-1])

    def close(self) -> None:
        """Gives the connection back; a lost one too."""
        try:
            with self._answering():
                self._display.close()
        except DisplayLostError:
            self._display.display.socket.close()

    def _below(self, window: XWindow, depth: int) -> Iterator[XWindow]:
        """Yields the windows inside a window; a window manager puts its own ones around ours."""
        from Xlib import error  # noqa: PLC0415 - Linux only

        try:
            children = window.query_tree().children
        except error.XError:
            return
        for child in children:
            yield child
            if depth < _DEEPEST:
                yield from self._below(child, depth + 1)

    def _facts_of(self, window: XWindow, title: str) -> WindowFacts | None:
        """Returns where a window is if it has that title and can be seen; it may vanish meanwhile."""
        from Xlib import X, error  # noqa: PLC0415 - Linux only

        try:
            if self._title_of(window) != title:
                return None
            if window.get_attributes().map_state != X.IsViewable:
                return None
            size = window.get_geometry()
            place = self._root.translate_coords(window, 0, 0)
        except error.XError:
            return None
        return WindowFacts(place.x, place.y, size.width, size.height)

    def _title_of(self, window: XWindow) -> str:
        from Xlib import X  # noqa: PLC0415 - Linux only

        title = window.get_full_property(self._utf8_title, X.AnyPropertyType)
        if title is None:
            title = window.get_full_property(self._display.get_atom("WM_NAME"), X.AnyPropertyType)
        value = "" if title is None else title.value
        return (
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        ).strip()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turns a server that is not there, or no longer, into our own error."""
        try:
            from Xlib import error  # noqa: PLC0415 - Linux only
        except ImportError as missing:
            raise DisplayLostError(
                "python-xlib is not installed.", str(missing), "pip install python-xlib"
            ) from missing
        try:
            yield
        except (error.DisplayError, error.ConnectionClosedError, OSError) as trouble:
            raise _silent(self._name, trouble) from trouble


def _knock(name: str) -> None:
    """Sees that somebody answers at a display of this machine; python-xlib would leak its sockets."""
    local = re.fullmatch(r":(\d+)(?:\.\d+)?", name)
    if local is None:
        return
    path = f"/tmp/.X11-unix/X{local[1]}"  # noqa: S108 - where every X server listens
    address = path if Path(path).exists() else f"\0{path}"
    with socket.socket(socket.AF_UNIX) as knocking:
        try:
            knocking.connect(address)
        except OSError as trouble:
            raise _silent(name, trouble) from trouble


def _silent(name: str, trouble: Exception) -> DisplayLostError:
    return DisplayLostError(
        f"The X display {name} does not answer.",
        str(trouble) or type(trouble).__name__,
        "Run this in the session that shows the game, or name its screen: export DISPLAY=:0",
    )
