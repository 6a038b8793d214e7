"""Publishes weights for the actors without making the learner wait."""

import threading
from dataclasses import dataclass

import structlog
from torch import Tensor, nn

from common.keys import Keys
from common.weights import encode_tensors
from replay_server.connection import OUTAGES, connect
from replay_server.weights_store import WeightsStore

_log = structlog.get_logger()

_AWAY_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class _Pending:
    param_version: int
    tensors: dict[str, Tensor]


class Broadcaster:
    """Encodes and publishes the newest weights on a thread and a connection of its own.

    The learner's thread only copies the tensors, on their device. What the thread has not published
    when newer weights arrive is replaced by them; an outage of Redis is waited out, and any other
    failure is raised on the learner's thread.

    Args:
        url: Redis.
        keys: keyspace of the run.
        contract: contract fingerprint, hex.
    """

    def __init__(self, url: str, keys: Keys, contract: str) -> None:
        self._url = url
        self._keys = keys
        self._contract = contract
        self._changed = threading.Condition()
        self._pending: _Pending | None = None
        self._closing = threading.Event()
        self._published_version: int | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="broadcast", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    @property
    def published_version(self) -> int | None:
        """Learner step of the weights that actors can fetch now; None before the first."""
        return self._published_version

    def publish(self, network: nn.Module, *, param_version: int) -> None:
        """Takes a copy of the network and returns; the newest copy wins."""
        self._raise_failure()
        tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}
        with self._changed:
            self._pending = _Pending(param_version, tensors)
            self._changed.notify()

    def wait_published(self, param_version: int, timeout_s: float) -> bool:
        """Returns whether these weights or newer ones are out, after waiting for them."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_published(param_version) or self._failure is not None, timeout_s
            )
        self._raise_failure()
        return self._is_published(param_version)

    def close(self) -> None:
        """Publishes what is pending if Redis answers, then stops the thread."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join()

    def _is_published(self, param_version: int) -> bool:
        return self._published_version is not None and self._published_version >= param_version

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._broadcast()
        except Exception as failure:  # noqa: BLE001 - the thread's top loop; the learner raises it
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _broadcast(self) -> None:
        connection = connect(self._url, name="learner-weights")
        store = WeightsStore(connection, self._keys)
        while (pending := self._next()) is not None:
            self._send(store, pending)
        connection.close()

    def _next(self) -> _Pending | None:
        """Waits for weights to publish; returns None when closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending is not None or self._closing.is_set())
            pending, self._pending = self._pending, None
            return pending

    def _send(self, store: WeightsStore, pending: _Pending) -> None:
        """Publishes one snapshot; gives way to a newer one while Redis is away."""
        tensors = {name: value.to("cpu").contiguous() for name, value in pending.tensors.items()}
        blob = encode_tensors(tensors, param_version=pending.param_version, contract=self._contract)
        warned = False
        while True:
            try:
                store.publish(pending.param_version, blob)
            except OUTAGES as error:
                if not warned:
                    _log.warning("weights_not_published", error=str(error))
                warned = True
            else:
                with self._changed:
                    self._published_version = pending.param_version
                    self._changed.notify_all()
                return
            if self._closing.wait(_AWAY_PAUSE_S) or self._pending is not None:
                return
