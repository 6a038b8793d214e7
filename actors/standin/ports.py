"""Takes ports on this machine only."""

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
        from actors.port_holder import listener  # noqa: PLC0415 - psutil only where a port is taken

        taken.close()
        holder = listener(port, kind)
        raise MachineError(
            f"The stand-in cannot have port {port}.",
            f"{holder} has it" if holder else str(error),
            f"end that program, or take a free port: {option} 0",
        ) from error
    taken.setblocking(False)
    return taken
