"""The replay service's heartbeat: that it lives, and the shape of the replay."""

import os
import threading
import time
from collections.abc import Callable

import redis
import structlog

from common.keys import Keys
from replay_server.connection import OUTAGES
from replay_server.hearts import Heart, beat

NAME = "replay"
BEAT_S = 2.0
FIGURES_S = 10.0
"""The figures go through all priorities, so they are older than the heartbeat."""
_log = structlog.get_logger()


class ReplayHeart:
    """Beats on a thread of its own, so that neither sampling nor ingesting waits for it.

    Args:
        connection: Redis, of this thread alone.
        keys: keyspace of the run.
        stats: returns the service's figures.
    """

    def __init__(
        self, connection: redis.Redis, keys: Keys, stats: Callable[[], dict[str, object]]
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._stats = stats
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay-heart", daemon=True)

    def start(self) -> None:
        """Starts to beat."""
        self._thread.start()

    def close(self) -> None:
        """Stops."""
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        figures: Heart = {}
        figures_due = 0.0
        while True:
            if time.monotonic() >= figures_due:
                figures, figures_due = self._stats(), time.monotonic() + FIGURES_S
                del figures["limiter"]  # it has a key of its own
            facts: Heart = {"role": NAME, "pid": os.getpid(), "time": time.time()}
            try:
                beat(self._connection, self._keys, NAME, facts | figures)
            except OUTAGES as error:
                _log.debug("heartbeat_failed", error=str(error))
            if self._stop.wait(BEAT_S):
                return
