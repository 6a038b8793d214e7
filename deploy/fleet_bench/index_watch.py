"""Notes when each segment appears in the index, to tell how long it took from the actor there."""

import threading
import time

from actors.poller import Poller
from common.keys import Keys
from replay_server.connection import call, connect

_BLOCK_MS = 200


class IndexWatch:
    """Follows the index on a thread and a connection of its own.

    Args:
        url: Redis.
        keys: the run.
    """

    def __init__(self, url: str, keys: Keys) -> None:
        self._connection = connect(url, name="bench-index")
        self._index = keys.index
        self._after = b"$"
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], float] = {}
        self._poller = Poller("bench-index", self._read, period_s=0.0)
        self._poller.start()

    def take(self) -> dict[tuple[str, str], float]:
        """Returns the monotonic time at which each segment was seen, since the last call."""
        self._poller.raise_failure()
        with self._lock:
            seen, self._seen = self._seen, {}
        return seen

    def close(self) -> None:
        """Stops following."""
        self._poller.close()
        self._connection.close()

    def _read(self) -> None:
        reply: list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]] = call(
            self._connection, "XREAD", "BLOCK", _BLOCK_MS, "STREAMS", self._index, self._after
        )
        now_s = time.monotonic()
        for _, entries in reply or []:
            with self._lock:
                for _, fields in entries:
                    self._seen[fields[b"a"].decode(), fields[b"e"].decode()] = now_s
            self._after = entries[-1][0]
