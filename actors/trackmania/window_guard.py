"""Watches in the background that the game's window is there."""

import threading
import time

import structlog

from actors.trackmania.window_watch import DisplayLostError, WindowFacts, WindowWatch

LOOK_EVERY_S = 0.4
LOST_LOOKS = 2
"""A window that was missed so often in a row is gone; once may be a game that redraws itself."""
_CLOSE_S = 5.0
_log = structlog.get_logger()


class WindowGuard:
    """A thread with a connection to the screen of its own.

    Args:
        display: X display, None for the one of the environment.
    """

    def __init__(self, display: str | None) -> None:
        self._display = display
        self._closing = threading.Event()
        self._watch: WindowWatch | None = None
        self._missed = LOST_LOOKS
        self._cause = "window_missing"
        self.facts: WindowFacts | None = None
        self._thread = threading.Thread(target=self._run, name="window-guard", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """The cause where the window is gone, ``window_missing`` or ``display_lost``; None where it is there."""
        return self._cause if self._missed >= LOST_LOOKS else None

    def close(self) -> None:
        """Ends the thread."""
        self._closing.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            began_s = time.monotonic()
            self._look()
            self._closing.wait(max(0.0, LOOK_EVERY_S - (time.monotonic() - began_s)))
        self._leave()

    def _look(self) -> None:
        try:
            if self._watch is None:
                self._watch = WindowWatch(display=self._display)
            self.facts = self._watch.facts()
            self._cause = "window_missing"
        except DisplayLostError as error:
            _log.debug("display_lost", why=error.why)
            self.facts = None
            self._cause = "display_lost"
            self._leave()
        self._missed = 0 if self.facts is not None else self._missed + 1

    def _leave(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
