"""Keeps the newest whole weights at hand, fetched by a thread of its own."""

import threading
import time
from dataclasses import dataclass

import structlog

from actors.poller import Poller
from common.errors import CorruptError, MismatchError
from common.keys import Keys
from common.weights import ParamSnapshot, decode_weights
from replay_server.connection import Client, connect
from replay_server.shut_out import ShutOut
from replay_server.weights_store import WeightsStore

_log = structlog.get_logger()
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class WeightsCounters:
    """What became of the weights that were seen.

    Attributes:
        fetched: versions that decoded and were taken.
        corrupt: blobs that failed their check; the weights before stay.
        refused: blobs of another contract; the weights before stay.
    """

    fetched: int = 0
    corrupt: int = 0
    refused: int = 0


class WeightsFollower:
    """Polls the version and fetches the blob when it changes.

    The polled version is 8 bytes, so that many actors may poll each second; a blob moves only when
    it is new. A blob that fails its check is counted and tried again at the next version.

    Args:
        url: Redis.
        keys: the run.
        name: shown in Redis's client list.
        contract: fingerprint that the weights must carry.
        period_s: seconds between polls.
        on_demand: fetches only what was wanted; a fleet that fetches every version, of which an actor
            drives with one in thirty, moves nine times the bytes of its own frames.
        shared: connection to use together with others; None opens one of its own.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        *,
        name: str,
        contract: str,
        period_s: float = _POLL_S,
        on_demand: bool = False,
        shared: Client | None = None,
    ) -> None:
        self._connection = shared or connect(url, name=name)
        self._owned = shared is None
        self._store = WeightsStore(self._connection, keys)
        self._contract = contract
        self._poller = Poller(name, self._poll, period_s=period_s, shut_out=ShutOut(url))
        self._lock = threading.Lock()
        self._looked = threading.Condition(self._lock)
        self._newest: ParamSnapshot | None = None
        self._polled_version: int | None = None
        self._tried_version: int | None = None
        self._on_demand = on_demand
        self._wanted = True
        self._wants = 0
        self._wants_met = 0
        self._hurried = False
        self._period_s = period_s
        self._next_fetch_s = 0.0
        self._counters = WeightsCounters()

    def start(self) -> None:
        """Starts to follow."""
        self._poller.start()

    def close(self) -> None:
        """Stops following."""
        self._poller.close()
        if self._owned:
            self._connection.close()

    def raise_failure(self) -> None:
        """Raises what ended the thread, if anything did."""
        self._poller.raise_failure()

    def want(self) -> None:
        """Asks for the newest weights, which are needed soon; at once where the last ones are a period old."""
        with self._lock:
            self._wanted = True
            self._wants += 1
        self._hurried = time.monotonic() >= self._next_fetch_s
        if self._hurried:
            self._poller.wake()

    def wait_for_wanted(self, timeout_s: float) -> None:
        """Waits until the weights are the newest that there were when they were wanted.

        Does not wait where the last ones are less than a period old, nor while Redis is away.

        Args:
            timeout_s: seconds after which those before have to do.
        """
        if not self._hurried or not self._poller.reachable:
            return
        with self._looked:
            self._looked.wait_for(lambda: self._wants_met == self._wants, timeout_s)

    @property
    def newest(self) -> ParamSnapshot | None:
        """The newest whole snapshot, or None before the first."""
        with self._lock:
            return self._newest

    @property
    def counters(self) -> WeightsCounters:
        """What became of the weights so far."""
        with self._lock:
            return self._counters

    def staleness(self, param_version: int) -> int:
        """Returns how many learner steps the newest version seen lies ahead of this one."""
        with self._lock:
            return max(0, self._polled_version - param_version) if self._polled_version else 0

    def _poll(self) -> None:
        with self._lock:
            wants = self._wants
        self._follow(wants)
        with self._looked:
            self._wants_met = wants
            self._looked.notify_all()

    def _follow(self, wants: int) -> None:
        """Brings the weights up to the newest version, where they are wanted.

        Args:
            wants: how often they were wanted until now; whoever wants them later wants newer ones.
        """
        version = self._store.version()
        with self._lock:
            self._polled_version = version
        if version is None or version == self._tried_version:
            return
        if self._on_demand and not self._wanted:
            return
        self._next_fetch_s = time.monotonic() + self._period_s
        blob = self._store.fetch()
        if blob is None:
            return
        snapshot = None
        corrupt = refused = 0
        try:
            snapshot = decode_weights(blob, contract=self._contract)
        except CorruptError as error:
            corrupt = 1
            _log.warning("weights_corrupt", version=version, error=error.why)
        except MismatchError as error:
            refused = 1
            _log.error("weights_refused", version=version, error=error.what, why=error.why)
        with self._lock:
            before = self._counters
            self._counters = WeightsCounters(
                before.fetched + (snapshot is not None),
                before.corrupt + corrupt,
                before.refused + refused,
            )
            self._tried_version = version if snapshot is None else snapshot.param_version
            self._polled_version = self._tried_version
            if snapshot is not None:
                self._newest = snapshot
                self._wanted = self._wants != wants
