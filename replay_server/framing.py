"""Length-prefixed frames on a socket: bounded, with deadlines, never larger than agreed."""

import socket
import struct
import sys
import time

from common.errors import CorruptError, UnreachableError
from replay_server.messages import HEADER

SLICE_S = 0.5
"""How long one system call may wait; between two the caller's deadline and stop flag are looked at."""
_TIMEVAL = struct.Struct("@ll")


def prepare(connection: socket.socket) -> None:
    """Sets a socket up for small messages: no delay, and system calls that return."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "win32":
        connection.settimeout(SLICE_S)
        return
    # Kernel timeouts cost no extra poll() for each call, unlike settimeout.
    connection.setblocking(True)
    timeout = _TIMEVAL.pack(0, int(SLICE_S * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)


class Framed:
    """Sends and receives whole frames.

    Args:
        connection: a connected TCP socket; it is closed with this object.
        max_bytes: longest accepted frame.
    """

    def __init__(self, connection: socket.socket, *, max_bytes: int) -> None:
        prepare(connection)
        self.max_bytes = max_bytes
        self._socket = connection
        self._received = bytearray()

    def send(self, payload: bytes, *, timeout_s: float) -> None:
        """Sends one frame.

        Raises:
            UnreachableError: the peer took too long or is gone.
        """
        deadline = time.monotonic() + timeout_s
        rest = memoryview(HEADER.pack(len(payload)) + payload)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise _gone("it stopped reading") from error
            except OSError as error:
                raise _gone(str(error)) from error

    def receive(self, *, timeout_s: float) -> bytes | None:
        """Returns the next frame, or None where none began within the time.

        Raises:
            UnreachableError: the peer closed, or stopped in the middle of a frame.
            CorruptError: the frame is longer than agreed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            payload = self._take()
            if payload is not None:
                return payload
            try:
                chunk = self._socket.recv(1 << 18)
            except (BlockingIOError, TimeoutError) as error:
                if time.monotonic() < deadline:
                    continue
                if self._received:
                    raise _gone("it stopped in the middle of a message") from error
                return None
            except OSError as error:
                raise _gone(str(error)) from error
            if not chunk:
                raise _gone("it closed the connection")
            self._received += chunk

    def close(self) -> None:
        """Closes the socket; a receive in another thread ends."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was faster
        finally:
            self._socket.close()

    def _take(self) -> bytes | None:
        if len(self._received) < HEADER.size:
            return None
        length = HEADER.unpack_from(self._received)[0]
        if length > self.max_bytes:
            raise CorruptError(
                f"A message of {length} bytes on the replay socket.",
                f"at most {self.max_bytes} are agreed",
                "run the same version on both sides",
            )
        end = HEADER.size + length
        if len(self._received) < end:
            return None
        payload = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        return payload


def _gone(why: str) -> UnreachableError:
    return UnreachableError(
        "The other end of the replay socket is gone.",
        why,
        "it is restarted by itself; apexmania status shows whether it came back",
    )
