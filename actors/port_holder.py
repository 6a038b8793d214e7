"""Who sits on a port of this machine, and who is connected to it."""

import os
import socket
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import psutil

_SHOWN_WORDS = 4
_SHOWN_CHARACTERS = 80
_GAME_WORDS = ("trackmania", "wine", "proton", "actors.standin", "game standin")


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process at one end of a port.

    Attributes:
        pid: its process id, None where the system keeps it from us.
        program: the start of its command line.
    """

    pid: int | None
    program: str

    def __str__(self) -> str:
        """Returns it as a person would look for it."""
        return f"{self.program} (pid {self.pid})" if self.pid else self.program

    @property
    def may_be_the_game(self) -> bool:
        """Whether it looks like the game, its stand-in, or like nothing that can be told."""
        program = self.program.lower()
        return self.pid is None or any(word in program for word in _GAME_WORDS)


def listener(port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> PortHolder | None:
    """Returns the process that sits on a port, None where none does or nobody may know.

    Args:
        port: the port.
        kind: ``SOCK_STREAM``, of which only those that listen count, or ``SOCK_DGRAM``.
    """
    sits = psutil.CONN_LISTEN if kind == socket.SOCK_STREAM else psutil.CONN_NONE
    for entry in _connections("tcp" if kind == socket.SOCK_STREAM else "udp"):
        if entry.status == sits and entry.laddr and entry.laddr.port == port:
            return _holder(entry.pid)
    return None


def client_of(port: int) -> PortHolder | None:
    """Returns a process other than this one that is connected to a port of this machine."""
    for entry in _connections("tcp"):
        connected = entry.status == psutil.CONN_ESTABLISHED and entry.raddr
        if connected and entry.raddr.port == port and _is_here(entry.raddr.ip):
            if entry.pid == os.getpid():
                continue
            return _holder(entry.pid)
    return None


def _connections(kind: str) -> list[Any]:
    """Returns psutil's rows, or none where the system keeps them from us."""
    try:
        return psutil.net_connections(kind=kind)
    except psutil.AccessDenied:
        return []


def _is_here(address: str) -> bool:
    return address.startswith(("127.", "::1", "::ffff:127."))


def _holder(pid: int | None) -> PortHolder:
    if pid is None:
        return PortHolder(None, "a program of another user")
    try:
        process = psutil.Process(pid)
        words = process.cmdline() or [process.name()]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return PortHolder(pid, "a program")
    program = " ".join([PurePath(words[0]).name, *words[1:_SHOWN_WORDS]])
    return PortHolder(pid, program[:_SHOWN_CHARACTERS])
