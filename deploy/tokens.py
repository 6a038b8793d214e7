"""Who may join by Redis alone: one file for each name in the machine's home, and no password in it."""

import json
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from common.errors import ConfigError
from common.machine_home import create_private, machine_home
from common.wire import valid_actor
from deploy.roster import RAY_ACTOR
from replay_server.access import digest

RESERVED = frozenset({"learner", "evaluator", "replay", "launcher", "reader", "default"})
"""Names of processes of a run, whose heartbeats an actor of the same name would overwrite."""
_PASSWORD_BYTES = 32
_DIGEST = re.compile(r"[0-9a-f]{64}")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Token:
    """What the head keeps of a token.

    Attributes:
        name: of the actor that it lets in.
        password_sha256: hex; the password itself was shown once.
        created: when, local time with its offset.
        address: host and port in the join string.
    """

    name: str
    password_sha256: str
    created: str
    address: str


def check_name(name: str) -> None:
    """Refuses what no actor may be called.

    Raises:
        ConfigError: with what is allowed.
    """
    if not valid_actor(name):
        raise ConfigError(
            f"An actor cannot be called {name!r}.",
            "its name becomes part of Redis keys and file names",
            "use 1 to 64 letters, digits, dots, dashes or underscores, for instance gaming-pc",
        )
    if name in RESERVED or RAY_ACTOR.fullmatch(name):
        raise ConfigError(
            f"The name {name!r} is taken.",
            "the processes that train starts are called so",
            f"choose another one, for instance {name}-pc",
        )


def create_token(name: str, *, address: str) -> tuple[Token, str]:
    """Makes a token and returns it with its password, which is stored nowhere.

    Raises:
        ConfigError: the name is taken, reserved or impossible.
    """
    check_name(name)
    password = secrets.token_hex(_PASSWORD_BYTES)
    created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    token = Token(name, digest(password), created, address)
    if not create_private(_file(name), json.dumps(asdict(token), indent=2) + "\n"):
        raise ConfigError(
            f"There is a token for {name!r} already.",
            "its password is stored nowhere, so it cannot be shown again",
            f"apexmania token revoke {name}, then create it again; or choose another name",
        )
    return token, password


def revoke_token(name: str) -> None:
    """Takes a token back; a running training ends its connections within seconds.

    Raises:
        ConfigError: there is none.
    """
    file = _file(name)
    if not valid_actor(name) or not file.exists():
        raise ConfigError(
            f"There is no token for {name!r}.",
            f"known: {', '.join(token.name for token in read_tokens()) or 'none'}",
            "apexmania token list",
        )
    file.unlink()


def read_tokens() -> list[Token]:
    """Returns all tokens by name; a file that does not say what it should lets nobody in."""
    tokens = []
    for file in sorted(_folder().glob("*.json")):
        try:
            token = Token(**json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            _log.warning("token_ignored", file=str(file), error=repr(error))
            continue
        why = _flaw(token, file)
        if why is None:
            tokens.append(token)
        else:
            _log.warning("token_ignored", file=str(file), error=why)
    return tokens


def token_digests() -> dict[str, str]:
    """Returns the digest of each token's password by the name of its actor."""
    return {token.name: token.password_sha256 for token in read_tokens()}


def _flaw(token: Token, file: Path) -> str | None:
    """Returns why a file that somebody changed lets nobody in, None where it is as it was made."""
    if token.name != file.stem or not valid_actor(token.name):
        return "it bears another name"
    if _DIGEST.fullmatch(str(token.password_sha256)) is None:
        return "password_sha256 is not 64 hexadecimal digits"
    return None


def _folder() -> Path:
    return machine_home() / "head" / "tokens"


def _file(name: str) -> Path:
    return _folder() / f"{name}.json"
