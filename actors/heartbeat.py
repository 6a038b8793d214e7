"""Tells the run every two seconds that this process lives, and what it does."""

import contextlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from actors.poller import Poller
from common.keys import Keys
from replay_server.connection import OUTAGES, Client, connect
from replay_server.hearts import Heart, beat
from replay_server.shut_out import REFUSED, ShutOut

FRAME_SIDE = 64


class Heartbeat:
    """Beats in a thread of its own, so that a slow game step never makes a process look lost.

    Args:
        url: Redis.
        keys: the run.
        name: name of the process, unique in the run.
        facts: returns what the heartbeat says; called in the thread.
        period_s: seconds between beats; a heartbeat lives for 10 s.
        shared: connection to use together with others; None opens one of its own.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        *,
        name: str,
        facts: Callable[[], Heart],
        period_s: float,
        shared: Client | None = None,
    ) -> None:
        self._connection = shared or connect(url, name=f"{name}-heart")
        self._owned = shared is None
        self._leaving = False
        self._keys = keys
        self._name = name
        self._facts = facts
        self._poller = Poller(f"{name}-heart", self._beat, period_s=period_s, shut_out=ShutOut(url))

    def start(self) -> None:
        """Starts to beat."""
        self._poller.start()

    def close(self) -> None:
        """Stops; the last heartbeat expires by itself."""
        self._poller.close()
        if self._owned:
            self._connection.close()

    def leave(self) -> None:
        """Stops, and says in a last heartbeat that this process ends as it should; then nobody misses it."""
        self._poller.close()
        self._leaving = True
        with contextlib.suppress(*OUTAGES, *REFUSED):
            self._beat()

    def raise_failure(self) -> None:
        """Raises what ended the thread, if anything did."""
        self._poller.raise_failure()

    def _beat(self) -> None:
        facts = self._facts()
        beat(self._connection, self._keys, self._name, facts | {"leaving": self._leaving})


def thumbnail(frame: npt.NDArray[np.uint8]) -> bytes:
    """Returns the frame as 64x64 grey bytes, by the nearest pixel."""
    height, width = frame.shape
    rows = np.arange(FRAME_SIDE) * height // FRAME_SIDE
    columns = np.arange(FRAME_SIDE) * width // FRAME_SIDE
    return frame[np.ix_(rows, columns)].tobytes()
