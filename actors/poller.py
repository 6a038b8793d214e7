"""A background thread that repeats one small errand on Redis and rides out its outages."""

import threading
from collections.abc import Callable

import structlog

from replay_server.connection import OUTAGES
from replay_server.shut_out import ShutOut, refuses

_log = structlog.get_logger()


class Poller:
    """Repeats a call each period until it is closed.

    While Redis is away the call is repeated all the same; ``reachable`` tells, and ``polled`` is set
    from the first success on. ``refusal`` is what it said where it answered and refused us. Any other error ends
    the thread and is kept in ``failure`` for the thread that can act on it.

    Args:
        name: of the thread and in the logs.
        errand: the call; it uses a connection that no other thread uses.
        period_s: seconds between the end of one call and the start of the next.
        shut_out: says when a server that refuses us has done so for long enough to end the thread;
            without it only wrong passwords are waited out, for ever.
    """

    def __init__(
        self,
        name: str,
        errand: Callable[[], None],
        *,
        period_s: float,
        shut_out: ShutOut | None = None,
    ) -> None:
        self._name = name
        self._errand = errand
        self._period_s = period_s
        self._shut_out = shut_out
        self._closing = False
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.reachable = False
        self.refusal = ""
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
                self.reachable, self.refusal = True, ""
                self.polled.set()
                if self._shut_out is not None:
                    self._shut_out.clear()
            except Exception as error:  # noqa: BLE001 - the top of a thread; handed over
                self.failure = self._ending(error)
                if self.failure is not None:
                    _log.error("thread_failed", thread=self._name, error=repr(error))
                    return
                if self.reachable:
                    _log.warning("redis_away", thread=self._name, error=str(error))
                self.reachable, self.refusal = False, str(error) if refuses(error) else ""
            self._awake.wait(self._period_s)
            self._awake.clear()

    def _ending(self, error: Exception) -> Exception | None:
        """Returns what ends the thread, None where the error is an outage."""
        if self._shut_out is None:
            return None if isinstance(error, OUTAGES) else error
        ending = self._shut_out.note(error)
        if ending is not None or refuses(error) or isinstance(error, OUTAGES):
            return ending
        return error
