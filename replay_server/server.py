"""The replay service behind a TCP socket.

Three kinds of thread, each simple: one follows the log, one keeps house, and one serves each of the
few connections (a learner, a dashboard). All wait in system calls when there is nothing to do.
"""

import hmac
import secrets
import socket
import threading
from collections.abc import Callable

import msgpack
import redis
import structlog

from common.errors import CorruptError, MismatchError, UnreachableError
from common.keys import Keys
from replay_server.framing import Framed
from replay_server.messages import (
    MAX_HELLO_BYTES,
    MAX_MESSAGE_BYTES,
    decode_request,
    encode_reply,
    unpack,
)
from replay_server.service import ReplayService

MAX_CONNECTIONS = 16
HELLO_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
POLL_BLOCK_MS = 500
TICK_PERIOD_S = 0.02
"""How old the published limiter may be, without which actors that wait do not go on."""
OUTAGE_PAUSE_S = 0.2
_log = structlog.get_logger()


class ReplayServer:
    """Serves one replay service.

    Args:
        service: what answers.
        connection: Redis, to publish the address.
        keys: keyspace of the run.
        host: address to listen on, and the one that is published.
        port: 0 lets the system choose.
    """

    def __init__(
        self,
        service: ReplayService,
        connection: redis.Redis,
        keys: Keys,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._service = service
        self._redis = connection
        self._keys = keys
        self._host = host
        self._secret = secrets.token_bytes(32)
        self._stop = threading.Event()
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._connections: set[Framed] = set()
        self._published = False
        self._failure: Exception | None = None
        self._listener = socket.create_server((host, port))
        self._listener.settimeout(0.5)
        self.port = int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Serves until ``stop``.

        Raises:
            MismatchError: another replay service took this run over.
        """
        threads = [
            threading.Thread(
                target=self._top, args=(self._keep_house,), name="replay-upkeep", daemon=True
            ),
            threading.Thread(
                target=self._top, args=(self._accept,), name="replay-accept", daemon=True
            ),
        ]
        for thread in threads:
            thread.start()
        _log.info("replay_service_started", host=self._host, port=self.port)
        try:
            while not self._stop.is_set():
                self._guarded(self._follow)
        finally:
            self.stop()
            for thread in threads:
                thread.join()
            self._listener.close()
        if self._failure is not None:
            raise self._failure
        self._guarded(self._service.save_snapshot)

    def stop(self) -> None:
        """Ends ``serve`` soon; may be called from any thread."""
        self._stop.set()
        for framed in list(self._connections):
            framed.close()

    def _follow(self) -> None:
        if not self._published:
            self._guarded(self._publish_address)
        self._service.ingest(block_ms=POLL_BLOCK_MS)

    def _publish_address(self) -> None:
        address = {"host": self._host, "port": self.port, "secret": self._secret}
        self._redis.set(self._keys.service, msgpack.packb(address))
        self._published = True

    def _keep_house(self) -> None:
        while not self._stop.wait(TICK_PERIOD_S):
            self._guarded(self._service.tick)

    def _guarded(self, step: Callable[[], object]) -> None:
        try:
            step()
        except redis.RedisError as error:
            _log.warning("redis_away", error=str(error))
            self._stop.wait(OUTAGE_PAUSE_S)
        except MismatchError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.stop()

    def _top(self, loop: Callable[[], None]) -> None:
        """Runs a thread's loop; whatever ends it ends ``serve``, which raises it."""
        try:
            loop()
        except Exception as error:  # noqa: BLE001 - the top of a thread
            self._fail(error)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                accepted, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                _log.warning("accept_failed", error=str(error))
                self._stop.wait(OUTAGE_PAUSE_S)
                continue
            if not self._slots.acquire(blocking=False):
                accepted.close()
                continue
            framed = Framed(accepted, max_bytes=MAX_HELLO_BYTES)
            self._connections.add(framed)
            threading.Thread(
                target=self._serve_peer, args=(framed,), name="replay-peer", daemon=True
            ).start()

    def _serve_peer(self, framed: Framed) -> None:
        try:
            if self._admit(framed):
                while not self._stop.is_set():
                    payload = framed.receive(timeout_s=IDLE_TIMEOUT_S)
                    if payload is not None:
                        framed.send(self._answer(payload), timeout_s=SEND_TIMEOUT_S)
        except (UnreachableError, CorruptError) as error:
            _log.info("replay_peer_left", reason=error.why)
        finally:
            framed.close()
            self._connections.discard(framed)
            self._slots.release()

    def _admit(self, framed: Framed) -> bool:
        hello = framed.receive(timeout_s=HELLO_TIMEOUT_S)
        if hello is None or not hmac.compare_digest(hello, self._secret):
            _log.warning("replay_peer_refused")
            return False
        framed.max_bytes = MAX_MESSAGE_BYTES
        return True

    def _answer(self, payload: bytes) -> bytes:
        """Returns [ok, result] or [error, what, why, fix]."""
        try:
            result = self._perform(unpack(payload))
        except CorruptError as error:
            result = [False, error.what, error.why, error.fix]
        packed: bytes = msgpack.packb(result)
        return packed

    def _perform(self, message: object) -> list[object]:
        match message:
            case ["sample", list(argument)]:
                return [True, encode_reply(self._service.sample(decode_request(argument)))]
            case ["state", None]:
                return [True, self._service.state()]
            case ["restore", bytes(blob)]:
                self._service.restore(blob)
                return [True, None]
            case ["stats", None]:
                return [True, self._service.stats()]
        raise CorruptError("An unknown operation.", repr(message)[:80], "run the same version")
