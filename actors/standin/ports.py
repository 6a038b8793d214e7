"""Takes ports on this machine only."""

import socket

from common.errors import MachineError

HOST = "127.0.0.1"
DEFAULT_PAD_PORT = 9010
"""UDP port of the gamepad."""
DEFAULT_CONTROL_PORT = 9011
"""TCP port of faults and status."""


def check_free(telemetry: int, pad: int, control: int) -> None:
    """Refuses the ports of a stand-in before anything is started, all that are taken at once.

    Args:
        telemetry: TCP port, 0 for a free one.
        pad: UDP port, likewise.
        control: TCP port, likewise.

    Raises:
        MachineError: other programs have some of them.
    """
    wanted = (
        (telemetry, socket.SOCK_STREAM, "--port"),
        (pad, socket.SOCK_DGRAM, "--pad-port"),
        (control, socket.SOCK_STREAM, "--control-port"),
    )
    refused: list[tuple[str, MachineError]] = []
    for port, kind, option in wanted:
        try:
            bound_socket(port, kind=kind, option=option).close()
        except MachineError as error:
            refused.append((option, error))
    if len(refused) == 1:
        raise refused[0][1]
    if refused:
        raise MachineError(
            " ".join(error.what for _, error in refused),
            "; ".join(error.why for _, error in refused),
            "end those programs, or take free ports: "
            + " ".join(f"{option} 0" for option, _ in refused),
        )


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
