"""The configuration of a Redis that a run starts: durable enough, bounded, and closed to strangers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.wire import MAX_VALUE_BYTES
from deploy.certificates import ServerFiles
from deploy.redis_listen import LOOPBACK

MAX_CLIENTS_BYTES = 512 * 1024 * 1024
"""For all that is on its way to or from clients; the weights of a hundred actors at once fit."""
MAX_COMMAND_BYTES = 1024 * 1024
"""For what a command says beside the longest value."""

MAX_CLIENTS = 25_000
"""Two connections for each of ten thousand actors, and room for all others. A server that may not open so
many files takes fewer by itself."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a server can be reached, and how.

    Attributes:
        port: TCP port on every address.
        hosts: addresses beside loopback; one that went away does not keep the server from starting.
        files: certificates with which it speaks TLS and nothing else, or None for plain connections.
        mutual_tls: whether clients need a certificate too.
    """

    port: int
    hosts: Sequence[str] = ()
    files: ServerFiles | None = None
    mutual_tls: bool = False


def configuration(doors: Doors, *, data: Path, users: Path, max_bytes: int) -> str:
    """Returns a configuration file; there is no secret in it.

    Args:
        doors: where it listens.
        data: folder of the append-only file.
        users: access list file.
        max_bytes: memory beyond which it refuses writes (bytes).
    """
    lines = [
        " ".join(("bind", LOOPBACK, *(f"-{host}" for host in doors.hosts if host != LOOPBACK))),
        "protected-mode yes",
        *_port(doors),
        f'aclfile "{users}"',
        f'dir "{data}"',
        "daemonize no",
        "databases 1",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        f"maxmemory {max_bytes}",
        f"maxclients {MAX_CLIENTS}",
        "maxmemory-policy noeviction",
        f"proto-max-bulk-len {MAX_VALUE_BYTES}",
        # Whoever sends or asks for more than this at a time is cut off, the largest first: without it
        # one client that asks for the weights again and again and reads nothing fills the memory.
        f"maxmemory-clients {MAX_CLIENTS_BYTES}",
        f"client-query-buffer-limit {MAX_VALUE_BYTES + MAX_COMMAND_BYTES}",
        # One segment's frames a node: Redis frees a node only when all of its entries are trimmed.
        "stream-node-max-bytes 4096",
    ]
    return "\n".join((*lines, ""))


def _port(doors: Doors) -> list[str]:
    if doors.files is None:
        return [f"port {doors.port}"]
    return [
        "port 0",
        f"tls-port {doors.port}",
        f'tls-cert-file "{doors.files.certificate}"',
        f'tls-key-file "{doors.files.key}"',
        f'tls-ca-cert-file "{doors.files.authority}"',
        f"tls-auth-clients {'yes' if doors.mutual_tls else 'no'}",
        'tls-protocols "TLSv1.2 TLSv1.3"',
    ]
