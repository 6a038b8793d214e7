"""Watches in the background that the game's window is there."""

import threading
import time

import structlog

from actors.trackmania.window_watch import DisplayLostError, WindowFacts, WindowWatch

LOOK_EVERY_S = 0.4
SILENT_S = 1.5
"""A screen on which no look was completed for so long does not answer any more."""
LOST_LOOKS = 2
"""A window that was missed so often in a row is gone; once may be a game that redraws itself."""
_CLOSE_S = 0.5
_OWN_PAUSE_S = 0.2
_LOOK_AGAIN_S = 0.02
_log = structlog.get_logger()


class WindowGuard:
    """A thread with a connection to the screen of its own.

    A server that is stopped, and not gone, never answers, and python-xlib waits for it without end. So the
    thread is not asked whether all is well; what counts is when it last knew.

    Args:
        display: X display, None for the one of the environment.
    """

    def __init__(self, display: str | None) -> None:
        self._display = display
        self._closing = threading.Event()
        self._watch: WindowWatch | None = None
        self._missed = LOST_LOOKS
        self._cause = "window_missing"
        self._silent_s = 0.0
        self._asked_s = time.monotonic()
        self._looks = 0
        self._wake = threading.Event()
        self.facts: WindowFacts | None = None
        self._thread = threading.Thread(target=self._run, name="window-guard", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def trouble(self) -> str | None:
        """The cause where the window is gone, ``window_missing`` or ``display_lost``; None where it is there."""
        now_s = time.monotonic()
        # Where this process was not served either, the screen is not to blame for the whole pause.
        self._silent_s += min(now_s - self._asked_s, _OWN_PAUSE_S)
        self._asked_s = now_s
        if self._silent_s > SILENT_S or not self.alive:
            return "display_lost"
        return self._cause if self._missed >= LOST_LOOKS else None

    def look(self, *, within_s: float) -> str | None:
        """Returns the cause as one look from now on sees it, None where the window is there."""
        enough, until_s = self._looks + 1, time.monotonic() + within_s
        self._wake.set()
        while self._looks < enough:
            if time.monotonic() > until_s:
                return "display_lost"
            time.sleep(_LOOK_AGAIN_S)
        return None if self.facts is not None else self._cause

    def close(self) -> None:
        """Ends the thread; one that waits for a screen which does not answer ends with that screen."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._wake.clear()
                self._look()
                self._wake.wait(LOOK_EVERY_S)
            self._leave()
        except Exception as error:  # noqa: BLE001 - the top of the thread; its end is trouble
            _log.warning("window_guard_died", error=repr(error))

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
        self._silent_s = 0.0
        self._looks += 1

    def _leave(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
