"""Windows of Microsoft Windows, through user32 and gdi32 (ctypes, so that nothing is to be installed).

Source: Microsoft's reference of FindWindowW, GetClientRect, ClientToScreen, BitBlt and GetDIBits.
"""

import ctypes
import sys
from ctypes import c_int, c_long, c_uint16, c_uint32, c_void_p, c_wchar_p
from typing import Any, ClassVar

import numpy as np

from actors.trackmania.window_watch import DisplayLostError, Picture, WindowFacts

Library = Any
"""A loaded DLL; ctypes gives its functions no types but those of ``_declare``."""

_SRCCOPY = 0x00CC0020
_DIB_RGB_COLORS = 0
_PIXEL_BYTES = 4


class _Rect(ctypes.Structure):
    _fields_: ClassVar = [(name, c_long) for name in ("left", "top", "right", "bottom")]


class _Point(ctypes.Structure):
    _fields_: ClassVar = [("x", c_long), ("y", c_long)]


class _BitmapInfoHeader(ctypes.Structure):
    _fields_: ClassVar = [
        ("size", c_uint32),
        ("width", c_long),
        ("height", c_long),
        ("planes", c_uint16),
        ("bit_count", c_uint16),
        ("compression", c_uint32),
        ("image_bytes", c_uint32),
        ("x_pixels_per_metre", c_long),
        ("y_pixels_per_metre", c_long),
        ("colours_used", c_uint32),
        ("colours_important", c_uint32),
        ("colour_table", c_uint32 * 3),
    ]


class Win32Windows:
    """The desktop of this session.

    Raises:
        DisplayLostError: this is not Windows.
    """

    def __init__(self) -> None:
        self._user32: Library
        self._gdi32: Library
        if sys.platform != "win32":
            raise DisplayLostError(
                "This is not Windows.", f"sys.platform is {sys.platform}.", "Use X11Windows here."
            )
        self._user32, self._gdi32 = ctypes.WinDLL("user32"), ctypes.WinDLL("gdi32")
        _declare(self._user32, self._gdi32)

    def facts(self, title: str) -> WindowFacts | None:
        """Returns where the visible window of that title is, None without one."""
        window = self._window(title)
        if window is None:
            return None
        inside, corner = _Rect(), _Point(0, 0)
        if not self._user32.GetClientRect(window, ctypes.byref(inside)):
            return None
        if not self._user32.ClientToScreen(window, ctypes.byref(corner)):
            return None
        return WindowFacts(corner.x, corner.y, inside.right, inside.bottom)

    def grab(self, facts: WindowFacts) -> Picture | None:
        """Returns that part of the screen."""
        width, height = facts.width, facts.height
        if width <= 0 or height <= 0:
            return None
        screen = self._user32.GetDC(None)
        if not screen:
            return None
        memory = self._gdi32.CreateCompatibleDC(screen)
        bitmap = self._gdi32.CreateCompatibleBitmap(screen, width, height)
        before = self._gdi32.SelectObject(memory, bitmap)
        try:
            if not self._gdi32.BitBlt(
                memory, 0, 0, width, height, screen, facts.x, facts.y, _SRCCOPY
            ):
                return None
            # GetDIBits wants the bitmap out of the device context first.
            self._gdi32.SelectObject(memory, before)
            return self._pixels(memory, bitmap, width=width, height=height)
        finally:
            self._gdi32.SelectObject(memory, before)
            self._gdi32.DeleteObject(bitmap)
            self._gdi32.DeleteDC(memory)
            self._user32.ReleaseDC(None, screen)

    def close(self) -> None:
        """Does nothing: there is no connection."""

    def _window(self, title: str) -> int | None:
        """Returns the handle of a window that can be seen; a minimised one cannot."""
        window = self._user32.FindWindowW(None, title)
        if not window or not self._user32.IsWindowVisible(window) or self._user32.IsIconic(window):
            return None
        return int(window)

    def _pixels(self, memory: int, bitmap: int, *, width: int, height: int) -> Picture | None:
        """Copies a bitmap's pixels; a negative height asks for the top row first."""
        header = _BitmapInfoHeader(
            size=40, width=width, height=-height, planes=1, bit_count=8 * _PIXEL_BYTES
        )
        data = ctypes.create_string_buffer(width * height * _PIXEL_BYTES)
        rows = self._gdi32.GetDIBits(
            memory, bitmap, 0, height, data, ctypes.byref(header), _DIB_RGB_COLORS
        )
        if rows != height:
            return None
        pixels = np.frombuffer(data.raw, dtype=np.uint8).reshape(height, width, _PIXEL_BYTES)
        return np.ascontiguousarray(pixels[:, :, 2::-1])


def _declare(user32: Library, gdi32: Library) -> None:
    """Tells ctypes the types: handles are 64 bits wide, which its default would cut."""
    signatures: tuple[tuple[Library, str, Any, tuple[Any, ...]], ...] = (
        (user32, "FindWindowW", c_void_p, (c_wchar_p, c_wchar_p)),
        (user32, "IsWindowVisible", c_int, (c_void_p,)),
        (user32, "IsIconic", c_int, (c_void_p,)),
        (user32, "GetClientRect", c_int, (c_void_p, c_void_p)),
        (user32, "ClientToScreen", c_int, (c_void_p, c_void_p)),
        (user32, "GetDC", c_void_p, (c_void_p,)),
        (user32, "ReleaseDC", c_int, (c_void_p, c_void_p)),
        (gdi32, "CreateCompatibleDC", c_void_p, (c_void_p,)),
        (gdi32, "CreateCompatibleBitmap", c_void_p, (c_void_p, c_int, c_int)),
        (gdi32, "SelectObject", c_void_p, (c_void_p, c_void_p)),
        (gdi32, "DeleteObject", c_int, (c_void_p,)),
        (gdi32, "DeleteDC", c_int, (c_void_p,)),
        (gdi32, "BitBlt", c_int, (c_void_p, *[c_int] * 4, c_void_p, c_int, c_int, c_uint32)),
        (gdi32, "GetDIBits", c_int, (c_void_p, c_void_p, c_uint32, c_uint32, c_void_p, c_void_p, c_uint32)),
    )  # fmt: skip
    for library, name, result, arguments in signatures:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
