"""Invites a machine: a token for its actor, and the join string with all that it needs to trust this head."""

import ipaddress
from urllib.parse import urlsplit

from common.errors import ConfigError
from deploy.certificates import authority_der, client_identity
from deploy.join_string import Invitation, encode_invitation
from deploy.redis_listen import DEFAULT_PORT, last_listen
from deploy.tokens import check_name, create_token


def invite(name: str, *, address: str | None = None) -> tuple[Invitation, str]:
    """Makes a token and returns what it says, and the join string.

    Args:
        name: of the actor.
        address: HOST or HOST:PORT by which the machine reaches this one, None as ``--listen`` had it.

    Raises:
        ConfigError: this machine never listened, the name is taken, or the address is none.
    """
    listen = last_listen()
    if listen is None:
        raise ConfigError(
            "No training on this machine has listened for other machines yet.",
            "a join string also says how they reach it, by which port and with which certificate, and "
            "that is settled when a training first listens",
            f"apexmania train --listen ADDRESS:{DEFAULT_PORT}, with an address that ip -brief address "
            f"shows; then: apexmania token create {name}"
            + ("" if address is None else f" --address {address}"),
        )
    host, port = (listen.host, listen.port) if address is None else split(address, port=listen.port)
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    check_name(name)
    # First what may fail: the password of a token is told once.
    authority = authority_der() if listen.tls else None
    identity = client_identity(name) if listen.mutual_tls else None
    _, password = create_token(name, address=shown)
    invitation = Invitation(
        host=host,
        port=port,
        name=name,
        password=password,
        tls=listen.tls,
        authority=authority,
        identity=identity,
        certified_host=listen.host if listen.tls and host != listen.host else None,
    )
    return invitation, encode_invitation(invitation)


def split(address: str, *, port: int) -> tuple[str, int]:
    """Returns host and port of HOST, HOST:PORT, an IPv6 address or [IPv6]:PORT.

    Raises:
        ConfigError: it is none of them.
    """
    try:
        return str(ipaddress.IPv6Address(address)), port
    except ValueError:
        pass
    try:
        parts = urlsplit(f"//{address}")
        host, given = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(address, str(error)) from error
    if not host or parts.netloc != address or "@" in address or given == 0:
        raise _no_address(address, "it is no host with a port")
    return host, port if given is None else given


def _no_address(address: str, why: str) -> ConfigError:
    return ConfigError(
        f"--address {address!r} is no address.", why, "--address HOST, or --address HOST:PORT"
    )
