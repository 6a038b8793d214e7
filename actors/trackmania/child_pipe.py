"""Messages between an actor and its env child: a length and a msgpack map on a pipe."""

import struct
import threading
from typing import Any, BinaryIO

import msgpack

Message = dict[str, Any]
MAX_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct("<I")


class PipeWriter:
    """Writes whole messages, from any thread.

    Args:
        stream: unbuffered or not; it is flushed after each message.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Writes one message.

        Raises:
            OSError: the other end is gone.
        """
        payload: bytes = msgpack.packb(message)
        assert len(payload) <= MAX_BYTES, f"a message of {len(payload)} bytes"
        with self._lock:
            self._stream.write(_LENGTH.pack(len(payload)) + payload)
            self._stream.flush()


def receive(stream: BinaryIO) -> Message | None:
    """Returns the next message, or None at the end of the stream or of its sense."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        return None
    payload = stream.read(length)
    if len(payload) < length:
        return None
    try:
        message = msgpack.unpackb(payload)
    except (ValueError, msgpack.UnpackException):
        return None
    return message if isinstance(message, dict) and "kind" in message else None
