"""Ports on this machine only: taking one, and saying who has it where that fails."""

import socket

from common.errors import MachineError

HOST = "127.0.0.1"
DEFAULT_PAD_PORT = 9010
"""UDP port of the gamepad."""
DEFAULT_CONTROL_PORT = 9011
"""TCP port of faults and status."""


def bound_socket(port: int, *, kind: socket.SocketKind, option: str) -> socket.socket:
    """Returns a non-blocking socket on a port of this machine.

    Args:
        port: 0 for a free one.
        kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
        option: what sets it on the command line, for the error.

    Raises:
        MachineError: another program has the port.
    """
    taken = socket.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
    except (OSError, OverflowError) as error:
        taken.close()
        raise MachineError(
            f"The stand-in cannot have port {port}.",
            f"{holder(port, kind) or error}",
            f"end that program, or take a free port: {option} 0",
        ) from error
    taken.setblocking(False)
    return taken


def holder(port: int, kind: socket.SocketKind) -> str | None:
    """Returns which program sits on a port, None where the system does not tell.

    Args:
        port: the port.
        kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
    """
    import psutil  # noqa: PLC0415 - only where a port is taken

    names = "tcp4" if kind == socket.SOCK_STREAM else "udp4"
    try:
        for connection in psutil.net_connections(names):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f"the program {name} (process {connection.pid}) has it"
    except psutil.Error:
        return None
    return None
