"""Reads the stand-in's telemetry as any client of the plugin would: bytes from a socket."""

import socket
import time
from typing import Self

from actors.trackmania.telemetry import MESSAGE_BYTES, Telemetry, unpack


class TelemetryClient:
    """A raw connection to the plugin's port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10.0)

    def bytes(self, count: int) -> bytes:
        """Returns exactly that many bytes, fewer where the connection was closed."""
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                break
            data += part
        return data

    def message(self) -> Telemetry:
        """Returns the next message."""
        return unpack(self.bytes(MESSAGE_BYTES))

    def fresh(self) -> Telemetry:
        """Returns a message that was sent after this call."""
        self.drain()
        return self.message()

    def drain(self) -> int:
        """Takes all whole messages that lie there; returns how many bytes that was."""
        taken = 0
        self._socket.setblocking(False)
        try:
            while part := self._socket.recv(MESSAGE_BYTES * 64):
                taken += len(part)
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(10.0)
        self.bytes(-taken % MESSAGE_BYTES)
        return taken

    def bytes_within(self, seconds: float) -> int:
        """Returns how many bytes come within a time, after what lies there already."""
        self.drain()
        time.sleep(seconds)
        return self.drain()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
