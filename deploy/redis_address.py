"""The address of the user's own Redis: where it is taken from, and how it is shown without its password."""

import os
import re
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

VARIABLE = "APEXMANIA_REDIS_URL"
"""Holds the address where ``--redis`` is not given; unlike an option it does not show in ``ps``."""
_HIDDEN = "***"
_ADDRESS = re.compile(r"(?:rediss?|unix)://\S+", re.IGNORECASE)


def given_address(option: str | None, *, resume: Path | None = None) -> str | None:
    """Returns the address of the user's own Redis, or None for a private one.

    Args:
        option: what ``--redis`` says; it wins over the environment.
        resume: the run that goes on; one that began with a private Redis keeps to it, whatever the
            environment says.

    Raises:
        ConfigError: ``resume`` is no run.
        CorruptError: its record is damaged.
    """
    address = option or os.environ.get(VARIABLE) or None
    if option is None and address is not None and resume is not None:
        from deploy.run_folder import open_run  # noqa: PLC0415 - showing an address needs no pydantic
        from deploy.run_record import PRIVATE, RunRecord  # noqa: PLC0415 - same

        return None if RunRecord.open(open_run(resume)).redis == PRIVATE else address
    return address


def take_address(option: str | None, *, resume: Path | None = None) -> str | None:
    """Returns ``given_address``; what is started from now on does not inherit it.

    Args:
        option: what ``--redis`` says.
        resume: the run that goes on.

    Raises:
        ConfigError: ``resume`` is no run.
        CorruptError: its record is damaged.
    """
    address = given_address(option, resume=resume)
    os.environ.pop(VARIABLE, None)
    return address


def compose_address(
    *,
    host: str,
    port: int,
    user: str,
    password: str,
    ca_pem: str | None = None,
    identity_pem: str | None = None,
    certified_host: str | None = None,
) -> str:
    """Returns the address of a Redis, complete in itself, so that it works on any machine.

    Args:
        host: name or IP address, of either version.
        port: TCP port.
        user: user on the server.
        password: of the user.
        ca_pem: certificate of the only authority to trust; with it the connection is encrypted.
        identity_pem: certificate and key of the client, for a server that demands them.
        certified_host: host in the server's certificate where it is not ``host``.
    """
    shown = f"[{host}]" if ":" in host else host
    words = {
        "ssl_ca_data": ca_pem,
        "client_identity": identity_pem,
        "server_name": certified_host,
    }
    query = urlencode({name: value for name, value in words.items() if value is not None})
    scheme = "redis" if ca_pem is None else "rediss"
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{credentials}@{shown}:{port}/0{'?' if query else ''}{query}"


def redacted(address: str) -> str:
    """Returns an address without its password and its query, which may hold one too."""
    scheme, separator, _ = address.partition("://")
    if not separator:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return f"{scheme}://{_HIDDEN}"
    if "@" in parts.path + parts.query + parts.fragment:
        # An unquoted password with / ? or #: where it begins and ends is a guess.
        return f"{scheme}://{_HIDDEN}"
    credentials, at, host = parts.netloc.rpartition("@")
    if not at:
        return f"{scheme}://{host}{parts.path}"
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user if colon else ''}:{_HIDDEN}@{host}{parts.path}"


def redacted_text(text: str) -> str:
    """Returns a text with every Redis address in it redacted."""
    return _ADDRESS.sub(lambda match: redacted(match[0]), text)
