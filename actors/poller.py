"""A background thread that repeats one small errand on Redis and rides out its outages."""

import threading
from collections.abc import Callable

import structlog

from replay_server.connection import OUTAGES

_log = structlog.get_logger()


class Poller:
    """Repeats a call each period until it is closed.

    While Redis is away the call is repeated all the same; ``reachable`` tells, and ``polled`` is set
    from the first success on. Any other error ends
    the thread and is kept in ``failure`` for the thread that can act on it.

    Args:
        name: of the thread and in the logs.
        errand: the call; it uses a connection that no other thread uses.
        period_s: seconds between the end of one call and the start of the next.
    """

    def __init__(self, name: str, errand: Callable[[], None], *, period_s: float) -> None:
        self._name = name
        self._errand = errand
        self._period_s = period_s
        self._closing = False
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.reachable = False
        self.polled = threading.Event()
        self.failure: Exception | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Ends the thread after the call that may be running."""
        self._closing = True
        self._awake.set()
        self._thread.join(timeout_s)

    def hurry(self, period_s: float) -> None:
        """Repeats the call this often from now on, if it was repeated less often before."""
        if period_s < self._period_s:
            self._period_s = period_s
            self._awake.set()

    def wake(self) -> None:
        """Has the call made now, or once more after the one that is under way."""
        self._awake.set()

    def raise_failure(self) -> None:
        """Raises what ended the thread, if anything did."""
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        while not self._closing:
            try:
                self._errand()
                self.reachable = True
                self.polled.set()
            except OUTAGES as error:
                if self.reachable:
                    _log.warning("redis_away", thread=self._name, error=str(error))
                self.reachable = False
            except Exception as error:  # noqa: BLE001 - the top of a thread; handed over
                _log.error("thread_failed", thread=self._name, error=repr(error))
                self.failure = error
                return
            self._awake.wait(self._period_s)
            self._awake.clear()
