"""The learner's side of the replay socket."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

import msgpack
import redis
import structlog

from common.errors import CorruptError, UnreachableError
from common.keys import Keys
from replay_server.connection import OUTAGES, call
from replay_server.framing import Framed
from replay_server.messages import (
    MAX_MESSAGE_BYTES,
    SampleReply,
    SampleRequest,
    decode_reply,
    encode_request,
    unpack,
)

__all__ = ["ReplayClient", "SampleReply", "SampleRequest"]

CONNECT_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 10.0
RETRY_PERIOD_S = 0.1
_Result = TypeVar("_Result")
_log = structlog.get_logger()


class ReplayClient:
    """Talks to the replay service, wherever it is now.

    Requests are answered in order, so a learner may keep several under way: send two, then receive one
    and send one. When the connection breaks, the requests under way are dropped with the updates that
    they carried; ``outstanding`` is then 0, and the next call connects anew.

    Args:
        connection: Redis, where the service publishes its address.
        keys: keyspace of the run.

    Attributes:
        outstanding: requests sent and not yet answered.
    """

    def __init__(self, connection: redis.Redis, keys: Keys) -> None:
        self.outstanding = 0
        self._redis = connection
        self._keys = keys
        self._framed: Framed | None = None
        self._next_attempt = 0.0

    def send(self, request: SampleRequest) -> None:
        """Sends a request without waiting for its reply.

        Raises:
            UnreachableError: the service is away; the request was not sent.
        """
        self._send(_message("sample", encode_request(request)))
        self.outstanding += 1

    def receive(self, timeout_s: float) -> SampleReply:
        """Returns the reply to the oldest outstanding request.

        Raises:
            UnreachableError: none came in time, or the service is away; outstanding is 0.
        """
        assert self.outstanding, "nothing was asked"
        reply = decode_reply(self._receive(timeout_s))
        self.outstanding -= 1
        return reply

    def state(self) -> bytes:
        """Returns the state of the replay for a checkpoint; no request may be outstanding.

        Raises:
            UnreachableError: the service is away.
        """
        state = self._call("state", None)
        assert isinstance(state, bytes)
        return state

    def restore(self, state: bytes) -> None:
        """Restores what ``state`` returned; no request may be outstanding.

        Raises:
            UnreachableError: the service is away.
            CorruptError: the state is damaged.
        """
        self._call("restore", state)

    def stats(self) -> dict[str, object]:
        """Returns the service's counters; no request may be outstanding.

        Raises:
            UnreachableError: the service is away.
        """
        stats = self._call("stats", None)
        assert isinstance(stats, dict)
        return stats

    def close(self) -> None:
        """Closes the connection and forgets outstanding requests."""
        if self._framed is not None:
            self._framed.close()
        self._framed = None
        self.outstanding = 0

    def _call(self, operation: str, argument: bytes | None) -> object:
        assert self.outstanding == 0, "receive the outstanding replies first"
        self._send(_message(operation, msgpack.packb(argument)))
        return self._receive(CALL_TIMEOUT_S)

    def _send(self, message: bytes) -> None:
        framed = self._connected()
        self._or_close(lambda: framed.send(message, timeout_s=SEND_TIMEOUT_S))

    def _receive(self, timeout_s: float) -> object:
        framed = self._framed
        assert framed is not None
        payload = self._or_close(lambda: framed.receive(timeout_s=timeout_s))
        if payload is None:
            self.close()
            raise _away(f"no reply within {timeout_s:g} s")
        match unpack(payload):
            case [True, result]:
                return result
            case [False, str(what), str(why), str(fix)]:
                self.close()
                raise CorruptError(what, why, fix)
        self.close()
        raise CorruptError("The replay service sent no reply.", repr(payload)[:80], "update it")

    def _or_close(self, step: Callable[[], _Result]) -> _Result:
        try:
            return step()
        except (UnreachableError, CorruptError):
            self.close()
            raise

    def _connected(self) -> Framed:
        if self._framed is not None:
            return self._framed
        time.sleep(max(0.0, self._next_attempt - time.monotonic()))
        self._next_attempt = time.monotonic() + RETRY_PERIOD_S
        try:
            packed: bytes | None = call(self._redis, "GET", self._keys.service)
        except OUTAGES as error:
            raise _away(f"Redis is away, which knows its address: {error}") from error
        if packed is None:
            raise _away("it has not started yet")
        address = msgpack.unpackb(packed, max_ext_len=0)
        try:
            connected = socket.create_connection(
                (address["host"], address["port"]), timeout=CONNECT_TIMEOUT_S
            )
        except OSError as error:
            raise _away(str(error)) from error
        framed = Framed(connected, max_bytes=MAX_MESSAGE_BYTES)
        framed.send(address["secret"], timeout_s=SEND_TIMEOUT_S)
        self._framed = framed
        _log.info("replay_connected", host=address["host"], port=address["port"])
        return framed


def _message(operation: str, packed_argument: bytes) -> bytes:
    # [operation, argument] around an argument that is packed already.
    name: bytes = msgpack.packb(operation)
    return b"\x92" + name + packed_argument


def _away(why: str) -> UnreachableError:
    return UnreachableError(
        "The replay service does not answer.",
        why,
        "it is restarted by itself; apexmania status shows whether it came back",
    )
