"""Sends telemetry as the game's plugin does: to one client at a time, whole messages, no questions."""

import contextlib
import socket

from actors.standin.ports import bound_socket

_READ_BYTES = 4096


class TelemetryServer:
    """A TCP server for one client; others wait until the first is gone.

    A client that does not read loses whole messages, never parts of one.

    Attributes:
        port: TCP port on 127.0.0.1.
        messages: how many were sent.
    """

    def __init__(self, port: int) -> None:
        """Listens.

        Args:
            port: TCP port, 0 for a free one.

        Raises:
            MachineError: another program has it.
        """
        self._listener = bound_socket(port, kind=socket.SOCK_STREAM, option="--port")
        self.port: int = self._listener.getsockname()[1]
        self.messages = 0
        self._client: socket.socket | None = None
        self._unsent = b""

    @property
    def clients(self) -> int:
        """How many clients are served, 0 or 1."""
        return int(self._client is not None)

    def poll(self) -> None:
        """Notices a client that came or went."""
        if self._client is not None:
            try:
                if not self._client.recv(_READ_BYTES):
                    self.drop()
            except BlockingIOError:
                return
            except OSError:
                self.drop()
        if self._client is None:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._client, _ = self._listener.accept()
                self._client.setblocking(False)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: bytes) -> None:
        """Sends a message to the client, if there is one and it reads.

        Args:
            message: all its bytes.
        """
        if self._client is None:
            return
        due = self._unsent or message
        try:
            sent = self._client.send(due)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        self._unsent = due[sent:]
        self.messages += due is message

    def drop(self) -> None:
        """Closes the connection to the client; it may come back."""
        if self._client is not None:
            self._client.close()
        self._client = None
        self._unsent = b""

    def close(self) -> None:
        """Closes everything."""
        self.drop()
        self._listener.close()
