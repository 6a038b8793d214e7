"""The ports of a Ray node: pinned, so that a firewall can name them, and checked before it starts."""

import socket

import psutil

from common.errors import MachineError

GCS_PORT = 6380
"""Ray's own default is Redis's 6379, and each breaks on the other."""
DASHBOARD_PORT = 8265
_DASHBOARD_HOST = "127.0.0.1"
_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - Ray binds these ports so, whatever it is told
FIRST_WORKER_PORT, LAST_WORKER_PORT = 7010, 7030
_OF_EVERY_NODE = {
    "node-manager-port": 7001,
    "object-manager-port": 7002,
    "metrics-export-port": 7003,
    "dashboard-agent-listen-port": 7004,
    "runtime-env-agent-port": 7005,
    "dashboard-agent-grpc-port": 7006,
    "min-worker-port": FIRST_WORKER_PORT,
    "max-worker-port": LAST_WORKER_PORT,
}
_OF_THE_HEAD = {"port": GCS_PORT, "dashboard-port": DASHBOARD_PORT}


def port_options(*, head: bool) -> list[str]:
    """Returns the options of ``ray start`` that pin every port of a node."""
    ports = _OF_EVERY_NODE | (_OF_THE_HEAD if head else {})
    options = [f"--{name}={port}" for name, port in ports.items()]
    return [*options, f"--dashboard-host={_DASHBOARD_HOST}"] if head else options


def require_free_ports(*, head: bool) -> None:
    """Finds out before Ray starts whether it can have its ports.

    Ray itself fails on a taken port only after 40 seconds, and without naming it.

    Raises:
        MachineError: a port is taken, with what holds it where that can be seen.
    """
    wanted = [
        port for name, port in _OF_EVERY_NODE.items() if name != "max-worker-port"
    ]  # of the workers' ports Ray skips those that are taken
    taken = [port for port in wanted if not _is_free(_EVERY_INTERFACE, port)]
    if head:
        taken += [GCS_PORT] if not _is_free(_EVERY_INTERFACE, GCS_PORT) else []
        taken += [DASHBOARD_PORT] if not _is_free(_DASHBOARD_HOST, DASHBOARD_PORT) else []
    if not taken:
        return
    holders = _holders(taken)
    raise MachineError(
        f"Ray's {_ports(taken)} taken on this machine.",
        "; ".join(f"{port}: {holders.get(port, 'a program of another user')}" for port in taken),
        "end that program; where it is an old node of this machine: apexmania cluster node stop",
    )


def _ports(taken: list[int]) -> str:
    numbers = ", ".join(map(str, taken))
    return f"port {numbers} is" if len(taken) == 1 else f"ports {numbers} are"


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def _holders(ports: list[int]) -> dict[int, str]:
    """Returns the processes that listen on these ports, as far as we may see them."""
    found: dict[int, str] = {}
    for connection in psutil.net_connections("tcp"):
        port = connection.laddr.port if connection.laddr else None
        if port in ports and connection.status == psutil.CONN_LISTEN and connection.pid:
            try:
                name = psutil.Process(connection.pid).name()
            except psutil.NoSuchProcess:
                continue
            found[port] = f"{name}, process {connection.pid}"
    return found
