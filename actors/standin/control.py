"""Runs a stand-in from outside while it races: faults, healing, status. JSON lines on loopback TCP."""

import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actors.standin.faults import check_fault
from actors.standin.ports import HOST, bound_socket
from common.errors import ApexManiaError, ConfigError, UnreachableError

_MOST_CLIENTS = 16
_LONGEST_LINE = 4096
_TIMEOUT_S = 5.0

Message = dict[str, Any]
Answer = Callable[[Message], Message]


@dataclass
class _Client:
    connection: socket.socket
    unread: bytes = field(default=b"")


class ControlServer:
    """The stand-in's end: polled once a turn, so that what it does needs no lock.

    Attributes:
        port: TCP port on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        """Listens.

        Args:
            port: TCP port, 0 for a free one.

        Raises:
            MachineError: another program has it.
        """
        self._listener = bound_socket(port, kind=socket.SOCK_STREAM, option="--control-port")
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[_Client] = []

    def poll(self, answer: Answer) -> None:
        """Answers the requests that have arrived.

        Args:
            answer: takes a request and returns what to say; an ApexManiaError is said, too.
        """
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while len(self._clients) < _MOST_CLIENTS:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._clients.append(_Client(connection))
        for client in tuple(self._clients):
            if not _serve(client, answer):
                client.connection.close()
                self._clients.remove(client)

    def close(self) -> None:
        """Closes everything."""
        for client in self._clients:
            client.connection.close()
        self._listener.close()


def _serve(client: _Client, answer: Answer) -> bool:
    """Answers one client; returns whether it stays. Whoever speaks no JSON lines is shown out."""
    try:
        data = client.connection.recv(_LONGEST_LINE)
    except BlockingIOError:
        return True
    except OSError:
        return False
    *lines, client.unread = (client.unread + data).split(b"\n")
    if not data or len(client.unread) > _LONGEST_LINE:
        return False
    return all(_serve_line(client, line, answer) for line in lines)


def _serve_line(client: _Client, line: bytes, answer: Answer) -> bool:
    try:
        request = json.loads(line)
        if isinstance(request, dict):
            client.connection.send(json.dumps(_said(request, answer)).encode() + b"\n")
    except (OSError, ValueError):
        return False
    return isinstance(request, dict)


def _said(request: Message, answer: Answer) -> Message:
    try:
        return {"ok": True, **answer(request)}
    except ApexManiaError as error:
        return {"ok": False, "what": error.what, "why": error.why, "fix": error.fix}


class StandInControl:
    """The other end: switches of a running stand-in.

    Attributes:
        port: TCP port on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        """Notes the port; every request connects anew, since the game may have been restarted."""
        self.port = port

    def fault(self, name: str, seconds: float | None = None) -> bool:
        """Lets a fault happen; returns whether a client of the telemetry is there to notice.

        Args:
            name: of ``actors.standin.faults.FAULTS``.
            seconds: how long a lasting one holds; None until it is healed.

        Raises:
            ConfigError: there is no such fault.
            UnreachableError: no stand-in answers.
        """
        said = self._ask(command="fault", name=check_fault(name), seconds=seconds)
        return bool(said.get("clients"))

    def heal(self) -> None:
        """Ends all faults.

        Raises:
            UnreachableError: no stand-in answers.
        """
        self._ask(command="heal")

    def restart_race(self) -> None:
        """Begins the race again, as the B button does.

        Raises:
            UnreachableError: no stand-in answers.
        """
        self._ask(command="restart_race")

    def status(self) -> Message:
        """Returns how the game is: see ``actors.standin.stand_in.StandIn.status``.

        Raises:
            UnreachableError: no stand-in answers.
        """
        return self._ask(command="status")

    def _ask(self, **request: object) -> Message:
        try:
            with socket.create_connection((HOST, self.port), timeout=_TIMEOUT_S) as connection:
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    said = json.loads(lines.readline() or b"null")
        except (OSError, OverflowError, ValueError) as error:
            raise _unreachable(self.port, str(error)) from error
        if not isinstance(said, dict):
            raise _unreachable(self.port, "what listens there hung up")
        if not said.pop("ok", False):
            raise ConfigError(*(str(said.get(part, "")) for part in ("what", "why", "fix")))
        return said


def _unreachable(port: int, why: str) -> UnreachableError:
    return UnreachableError(
        f"No stand-in answers on control port {port}.",
        why,
        "start one (apexmania game standin) and name the control port that it prints: --control PORT",
    )
