"""What a newcomer finds besides the contract: which run is served, and the reward lines of its map."""

from collections.abc import Mapping

import msgpack
import redis

from common.errors import ConfigError, CorruptError
from common.keys import CURRENT_RUN, Keys
from common.wire import MAX_VALUE_BYTES
from replay_server.connection import call

MAX_LINES = 256
_Lines = dict[str, bytes]


def announce_run(connection: redis.Redis, run: str) -> None:
    """Names the run that is served from now on."""
    connection.set(CURRENT_RUN, run)


def withdraw_run(connection: redis.Redis, run: str) -> None:
    """Ends the announcement of a run, unless another one took its place."""
    if current_run(connection) == run:
        connection.delete(CURRENT_RUN)


def current_run(connection: redis.Redis) -> str | None:
    """Returns the name of the run that is served now, None where there is none."""
    name: bytes | None = call(connection, "GET", CURRENT_RUN)
    return None if name is None else name.decode(errors="replace")


def put_reward_lines(connection: redis.Redis, keys: Keys, lines: Mapping[str, bytes]) -> None:
    """Publishes the files of the lines that the contract's hash was made from.

    Args:
        connection: Redis.
        keys: the run.
        lines: content of each ``.npz`` by file name; none for a game that needs none.

    Raises:
        ConfigError: they are longer than Redis takes.
    """
    packed: bytes = msgpack.packb(dict(lines))
    if len(packed) > MAX_VALUE_BYTES:
        raise ConfigError(
            f"The reward lines of this run have {len(packed):,} bytes.",
            f"Redis passes on {MAX_VALUE_BYTES:,} bytes at most",
            "name one line instead of a folder of many: --set game.trackmania.reward_line=lines/MAP.npz",
        )
    connection.set(keys.reward_lines, packed)


def get_reward_lines(connection: redis.Redis, keys: Keys) -> _Lines:
    """Returns the files of the run's reward lines, empty where it has none.

    Raises:
        CorruptError: the stored value holds something else.
    """
    packed: bytes | None = call(connection, "GET", keys.reward_lines)
    if packed is None:
        return {}
    try:
        lines = msgpack.unpackb(packed, max_map_len=MAX_LINES, max_str_len=256, max_ext_len=0)
    except (ValueError, msgpack.UnpackException) as error:
        raise _damaged(keys, f"they do not decode ({type(error).__name__})") from error
    if not isinstance(lines, dict) or not all(isinstance(line, bytes) for line in lines.values()):
        raise _damaged(keys, "they are not files by name")
    return {str(name): content for name, content in lines.items()}


def _damaged(keys: Keys, why: str) -> CorruptError:
    return CorruptError(
        f"The reward lines of run {keys.run!r} in Redis are damaged.",
        why,
        "start the run again on the head, which writes them anew",
    )
