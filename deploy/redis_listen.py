"""Where the private Redis listens for other machines: asked for, checked, and kept for the next start."""

import errno
import ipaddress
import json
import socket
from dataclasses import asdict, dataclass
from typing import Any

from common.errors import ConfigError, CorruptError, MachineError
from common.machine_home import machine_home, write_private

DEFAULT_PORT = 6390
"""Not 6379, where a Redis of the system or Ray's control store may be; nor 6380, where ours is."""
LOOPBACK = "127.0.0.1"
NOWHERE = "none"
"""What ``--listen`` says where a resumed run shall not listen any more."""
_RAYS = (6379, 6380)
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Listen:
    """An address of this machine that other machines reach.

    Attributes:
        host: IP address of either version.
        port: TCP port.
        tls: whether connections are encrypted.
        mutual_tls: whether clients need a certificate too.
    """

    host: str
    port: int
    tls: bool = True
    mutual_tls: bool = False

    @property
    def shown(self) -> str:
        """Host and port, as people type them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def notice(self) -> str:
        """What the person in front of it should know."""
        if not self.tls:
            how = "WITHOUT encryption: whoever is on this network can read along"
        else:
            how = "TLS, client certificates demanded" if self.mutual_tls else "TLS"
        return (
            f"Redis will listen on {self.shown} ({how}).\n"
            "To add an actor on another machine: apexmania token create NAME"
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON holds it; there is no secret in it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Listen":
        """Returns what ``to_dict`` wrote.

        Raises:
            CorruptError: it is something else.
        """
        try:
            return cls(
                host=str(ipaddress.ip_address(values["host"])),
                port=int(values["port"]),
                tls=bool(values["tls"]),
                mutual_tls=bool(values["mutual_tls"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptError(
                "The record of where Redis listens is damaged.",
                repr(error),
                f"name the address again: apexmania train --listen ADDRESS:{DEFAULT_PORT}",
            ) from error


def parse_listen(text: str, *, insecure: bool = False, mutual_tls: bool = False) -> Listen:
    """Returns what ``--listen`` asks for.

    Args:
        text: ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT.
        insecure: whether it shall listen without encryption.
        mutual_tls: whether clients need a certificate.

    Raises:
        ConfigError: the text is no such thing, or the options contradict each other.
    """
    if insecure and mutual_tls:
        raise ConfigError(
            "--insecure-lan does not go with --mutual-tls.",
            "without encryption there are no certificates",
            f"apexmania train --listen {text} --mutual-tls",
        )
    host, port = _split(text)
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise _no_address(text, str(error)) from error
    if address.is_unspecified:
        raise _no_address(text, "it stands for all addresses; certificates and actors need one")
    if not 0 < port <= _LAST_PORT:
        raise _no_address(text, f"{port} is no port: they go from 1 to {_LAST_PORT}")
    return Listen(str(address), port, tls=not insecure, mutual_tls=mutual_tls)


def require_free(listen: Listen) -> None:
    """Refuses an address that is not of this machine, and a port that somebody has.

    Raises:
        ConfigError: the address is another machine's.
        MachineError: the port is taken.
    """
    for host in dict.fromkeys((listen.host, LOOPBACK)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, listen.port))
            except OSError as error:
                raise _not_bound(error, host, listen) from error


def free_port(*, preferred: int | None = None) -> int:
    """Returns a free loopback port.

    Args:
        preferred: port to take if it is free.
    """
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((LOOPBACK, port))
            except OSError:
                continue
            free: int = listener.getsockname()[1]
            return free
    raise MachineError(
        f"No free port was found on {LOOPBACK}.",
        "the system refused to bind any",
        "close programs that hold many connections, then try again",
    )


def keep_listen(listen: Listen) -> None:
    """Remembers the address in the machine's home, for the commands that invite actors."""
    text = json.dumps(listen.to_dict(), indent=2) + "\n"
    write_private(machine_home() / "head" / "listen.json", text)


def last_listen() -> Listen | None:
    """Returns the address that was listened on last, or None before the first.

    Raises:
        CorruptError: the record is damaged.
    """
    file = machine_home() / "head" / "listen.json"
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_bytes())
    except ValueError:
        values = {}
    return Listen.from_dict(values if isinstance(values, dict) else {})


def _split(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _no_address(text, "a bracket is missing")
        digits = rest[1:]
    elif text.count(":") == 1:
        host, _, digits = text.partition(":")
    else:
        host, digits = text, ""
    if digits and not digits.isdecimal():
        raise _no_address(text, f"{digits} is no port")
    return host, int(digits) if digits else DEFAULT_PORT


def _no_address(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"--listen {text!r} is no address to listen on.",
        why,
        f"name one of this machine's, as ip -brief address shows them: --listen 192.168.1.5:{DEFAULT_PORT}",
    )


def _not_bound(error: OSError, host: str, listen: Listen) -> ConfigError | MachineError:
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f"The address {host} is not one of this machine's.",
            str(error.strerror),
            "take one that ip -brief address shows: apexmania train --listen ADDRESS; "
            f"a resumed run goes on without it by --listen {NOWHERE}",
        )
    if error.errno == errno.EADDRINUSE:
        rays = (
            "; Ray's control store takes this port, so stop that cluster or stay away from it"
            if listen.port in _RAYS
            else ""
        )
        return MachineError(
            f"Port {listen.port} on {host} is taken.",
            f"another program listens there{rays}",
            f"see who: ss -ltnp 'sport = :{listen.port}'; or take another: "
            f"--listen {listen.host}:{DEFAULT_PORT + 1}",
        )
    return MachineError(
        f"Redis cannot listen on {listen.shown}.",
        str(error),
        f"another port: --listen {listen.host}:{DEFAULT_PORT + 1}",
    )
