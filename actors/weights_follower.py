"""Keeps the newest whole weights at hand, fetched by a thread of its own."""

import threading
from dataclasses import dataclass

import structlog

from actors.poller import Poller
from common.errors import CorruptError, MismatchError
from common.keys import Keys
from common.weights import ParamSnapshot, decode_weights
from replay_server.connection import connect
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
    """

    def __init__(
        self, url: str, keys: Keys, *, name: str, contract: str, period_s: float = _POLL_S
    ) -> None:
        self._connection = connect(url, name=name)
        self._store = WeightsStore(self._connection, keys)
        self._contract = contract
        self._poller = Poller(name, self._poll, period_s=period_s, shut_out=ShutOut(url))
        self._lock = threading.Lock()
        self._newest: ParamSnapshot | None = None
        self._seen_version: int | None = None
        self._counters = WeightsCounters()

    def start(self) -> None:
        """Starts to follow."""
        self._poller.start()

    def close(self) -> None:
        """Stops following."""
        self._poller.close()
        self._connection.close()

    def raise_failure(self) -> None:
        """Raises what ended the thread, if anything did."""
        self._poller.raise_failure()

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
            return max(0, self._seen_version - param_version) if self._seen_version else 0

    def _poll(self) -> None:
        version = self._store.version()
        if version is None or version == self._seen_version:
            return
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
            self._seen_version = version if snapshot is None else snapshot.param_version
            if snapshot is not None:
                self._newest = snapshot
