"""Tells the world about the learner and hears the run's switch, never on the learner's thread."""

import threading
import time
from collections import deque

import structlog

from common.keys import Keys
from replay_server.connection import OUTAGES, connect
from replay_server.control import Control, State
from replay_server.hearts import Heart, beat
from replay_server.rows import Row, append_row

_log = structlog.get_logger()

HEART = "learner"
_POLL_S = 0.2
_BEAT_S = 2.0
_MAX_METRICS_ROWS = 100_000
_MAX_UNSENT_ROWS = 10_000


class Reporter:
    """Heartbeats, metrics rows and the control state, on a thread and a connection of its own.

    While Redis is away rows wait (the oldest go beyond 10,000) and the state stays what it was. Any
    other failure is raised on the learner's thread, which else would never hear that it shall drain.

    Args:
        url: Redis.
        keys: keyspace of the run.
    """

    def __init__(self, url: str, keys: Keys) -> None:
        self._url = url
        self._keys = keys
        self._rows: deque[Row] = deque(maxlen=_MAX_UNSENT_ROWS)
        self._fields: Heart = {}
        self._state: State | None = None
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    @property
    def control_state(self) -> State | None:
        """The run's switch as last read; None where it was never set or read."""
        self._raise_failure()
        return self._state

    def say(self, fields: Heart) -> None:
        """Sets what the next heartbeats carry."""
        self._raise_failure()
        self._fields = fields

    def add_row(self, row: Row) -> None:
        """Queues one row of metrics."""
        self._raise_failure()
        self._rows.append(row)

    def close(self) -> None:
        """Sends what is queued if Redis answers, then stops the thread."""
        self._stop.set()
        self._thread.join()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._report()
        except Exception as failure:  # noqa: BLE001 - the thread's top loop; the learner raises it
            self._failure = failure

    def _report(self) -> None:
        connection = connect(self._url, name="learner-reporter")
        control = Control(connection, self._keys)
        away = False
        next_beat = 0.0
        while True:
            stopping = self._stop.is_set()
            try:
                self._state = control.state()
                if stopping or time.monotonic() >= next_beat:
                    beat(connection, self._keys, HEART, self._fields)
                    next_beat = time.monotonic() + _BEAT_S
                while self._rows:
                    append_row(connection, self._keys.metrics, self._rows[0], _MAX_METRICS_ROWS)
                    self._rows.popleft()
                away = False
            except OUTAGES as error:
                if not away:
                    _log.warning("report_not_sent", error=str(error))
                away = True
            if stopping:
                break
            self._stop.wait(_POLL_S)
        connection.close()
