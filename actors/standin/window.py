"""The stand-in's window, through python-xlib: a title, a picture, and the keys that tmrl presses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.standin.pad import B_BUTTON, Pad
from actors.trackmania.window_watch import TITLE
from common.errors import MachineError

NATIVE_SIZE = (320, 180)
"""Width and height in pixels before anybody resizes it."""
NATIVE_PLACE = (60, 40)
SMALLEST, LARGEST = 32, 4096
_STRIPE_BYTES = 200_000
_PIXEL_BYTES = 4
_KEYS = ("Up", "Down", "Left", "Right", "BackSpace")


class GameWindow:
    """A window titled exactly as TrackMania's.

    Attributes:
        picture: uint8 (height, width, 3), red first; what ``show`` puts on the screen.
        keys: those of ``_KEYS`` that are held.
        stubborn: whether it undoes every resizing.
    """

    def __init__(self, display: str | None = None) -> None:
        """Connects and opens the window.

        Args:
            display: such as ``:7``, None for ``$DISPLAY``.

        Raises:
            MachineError: python-xlib is missing, or no X server answers.
        """
        self._display = _connect(display)
        self._screen = self._display.screen()
        self._keycodes = self._find_keycodes()
        self._protocols = self._display.intern_atom("WM_PROTOCOLS")
        self._window: Any = None
        self._gc: Any = None
        self._pixels = np.zeros((1, 1, _PIXEL_BYTES), dtype=np.uint8)
        self.keys: set[str] = set()
        self.stubborn = False
        self.open()

    @property
    def is_open(self) -> bool:
        """Whether there is a window."""
        return self._window is not None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._pixels.shape[1], self._pixels.shape[0]

    @property
    def picture(self) -> NDArray[np.uint8]:
        """A view of the pixels, red first."""
        return self._pixels[:, :, 2::-1]

    def open(self) -> None:
        """Opens the window at its own size and place."""
        from Xlib import X, Xatom  # noqa: PLC0415 - Linux only

        if self._window is not None:
            return
        self._resize(*NATIVE_SIZE)
        self._window = self._screen.root.create_window(
            *NATIVE_PLACE,
            *NATIVE_SIZE,
            0,
            self._screen.root_depth,
            X.InputOutput,
            X.CopyFromParent,
            background_pixel=self._screen.black_pixel,
            event_mask=X.StructureNotifyMask | X.KeyPressMask | X.KeyReleaseMask,
        )
        self._window.set_wm_name(TITLE)
        utf8 = self._display.intern_atom("UTF8_STRING")
        name = self._display.intern_atom("_NET_WM_NAME")
        self._window.change_property(name, utf8, 8, TITLE.encode())
        self._window.change_property(Xatom.WM_CLASS, Xatom.STRING, 8, b"trackmania\0Trackmania\0")
        self._window.set_wm_protocols([self._display.intern_atom("WM_DELETE_WINDOW")])
        self._gc = self._window.create_gc(foreground=self._screen.black_pixel)
        self._window.map()
        self._display.flush()

    def close(self) -> None:
        """Makes the window go away; ``open`` brings another one."""
        if self._window is None:
            return
        self._gc.free()
        self._window.destroy()
        self._window = None
        self.keys.clear()
        self._display.flush()

    def disconnect(self) -> None:
        """Leaves the X server, which removes the window; one that is gone is left, too."""
        from Xlib import error  # noqa: PLC0415 - Linux only

        try:
            self._display.close()
        except (error.ConnectionClosedError, OSError):
            self._display.display.socket.close()

    def pump(self) -> tuple[set[str], bool]:
        """Takes what happened to the window.

        Returns:
            The keys pressed meanwhile, and whether the user closed the window.

        Raises:
            MachineError: the X server is gone.
        """
        from Xlib import X, error  # noqa: PLC0415 - Linux only

        pressed: set[str] = set()
        closed = False
        size = self.size
        try:
            while self._display.pending_events():
                event = self._display.next_event()
                if event.type == X.MappingNotify:
                    self._display.refresh_keyboard_mapping(event)
                    self._keycodes = self._find_keycodes()
                    continue
                if self._window is None or event.window != self._window:
                    continue
                if event.type == X.ConfigureNotify:
                    size = (event.width, event.height)
                elif event.type in {X.KeyPress, X.KeyRelease}:
                    self._take_key(event, pressed, down=event.type == X.KeyPress)
                elif event.type == X.ClientMessage and event.client_type == self._protocols:
                    closed = True
            if self._window is not None:
                self._take_size(size)
        except (error.ConnectionClosedError, OSError) as trouble:
            raise _display_lost(trouble) from trouble
        return pressed, closed

    def show(self) -> None:
        """Puts ``picture`` on the screen; as stripes, since a request to an X server has a limit.

        Raises:
            MachineError: the X server is gone.
        """
        from Xlib import X, error  # noqa: PLC0415 - Linux only

        if self._window is None:
            return
        width, height = self.size
        rows = max(_STRIPE_BYTES // (width * _PIXEL_BYTES), 1)
        try:
            for top in range(0, height, rows):
                stripe = self._pixels[top : top + rows]
                self._window.put_image(
                    self._gc,
                    0,
                    top,
                    width,
                    len(stripe),
                    X.ZPixmap,
                    self._screen.root_depth,
                    0,
                    stripe.tobytes(),
                )
            self._display.flush()
        except (error.ConnectionClosedError, OSError) as trouble:
            raise _display_lost(trouble) from trouble

    def held(self) -> Pad:
        """Returns the keys that are held as a gamepad."""
        return Pad(
            gas=float("Up" in self.keys),
            brake=float("Down" in self.keys),
            steer=float("Right" in self.keys) - float("Left" in self.keys),
            buttons=B_BUTTON if "BackSpace" in self.keys else 0,
        )

    def _take_size(self, size: tuple[int, int]) -> None:
        """Follows a resizing, or undoes it."""
        if self.stubborn:
            if size != NATIVE_SIZE or self.size != NATIVE_SIZE:
                self._window.configure(width=NATIVE_SIZE[0], height=NATIVE_SIZE[1])
                self._display.flush()
                self._resize(*NATIVE_SIZE)
        elif size != self.size:
            self._resize(*size)

    def _resize(self, width: int, height: int) -> None:
        width, height = (min(max(side, SMALLEST), LARGEST) for side in (width, height))
        self._pixels = np.zeros((height, width, _PIXEL_BYTES), dtype=np.uint8)

    def _take_key(self, event: Any, pressed: set[str], *, down: bool) -> None:  # noqa: ANN401 - python-xlib has no types
        name = self._keycodes.get(event.detail)
        if name is None:
            return
        if down:
            if name not in self.keys:
                pressed.add(name)
            self.keys.add(name)
        else:
            self.keys.discard(name)

    def _find_keycodes(self) -> dict[int, str]:
        from Xlib import XK  # noqa: PLC0415 - Linux only

        codes = {}
        for name in _KEYS:
            code = self._display.keysym_to_keycode(XK.string_to_keysym(name))
            if code:
                codes[code] = name
        return codes


def _connect(display: str | None) -> Any:  # noqa: ANN401 - python-xlib has no types
    """Returns a connection to an X server."""
    try:
        from Xlib import display as xlib_display  # noqa: PLC0415 - Linux only
        from Xlib import error  # noqa: PLC0415 - same
    except ImportError as missing:
        raise MachineError(
            "The stand-in needs python-xlib.", str(missing), "pip install python-xlib"
        ) from missing
    try:
        return xlib_display.Display(display)
    except (error.DisplayError, error.ConnectionClosedError, OSError) as trouble:
        raise _display_lost(trouble) from trouble


def _display_lost(trouble: Exception) -> MachineError:
    return MachineError(
        "The X display of the stand-in does not answer.",
        str(trouble) or type(trouble).__name__,
        "unset DISPLAY, so that the stand-in starts a private one, or name one: export DISPLAY=:0",
    )
