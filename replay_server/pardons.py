"""Lets in again whom a person gave a new token after the old one was shut out."""

import contextlib
from collections.abc import Iterable, Mapping

import redis
import structlog

from common.keys import Keys
from replay_server.connection import call
from replay_server.refusals import lift_ban

_NO_TOKEN = ""
_log = structlog.get_logger()


def pardon_renewed(
    connection: redis.Redis, keys: Keys, banned: Iterable[str], tokens: Mapping[str, str]
) -> frozenset[str]:
    """Lifts the bans of actors whose token is another one than when they were banned.

    Which token that was is noted in Redis beside the ban, so that a token which is made anew while nothing
    runs counts too. A server that is full takes no note, and is asked again at the next look.

    Args:
        connection: Redis as the launcher.
        keys: the run.
        banned: actors that are shut out now.
        tokens: digest of each token by the name of its actor.

    Returns:
        Whose ban was lifted.
    """
    fields: dict[bytes, bytes] = call(connection, "HGETALL", keys.banned_tokens)
    noted = {name.decode(errors="replace"): token.decode() for name, token in fields.items()}
    shut_out = frozenset(banned)
    pardoned = set()
    for name in sorted(shut_out):
        token = tokens.get(name, _NO_TOKEN)
        if name not in noted:
            with contextlib.suppress(redis.OutOfMemoryError):
                connection.hset(keys.banned_tokens, name, token)
        elif token not in {noted[name], _NO_TOKEN}:
            lift_ban(connection, keys, name)
            pardoned.add(name)
            _log.warning("ban_lifted", actor=name, why="its token was made anew")
    forgotten = noted.keys() - (shut_out - pardoned)
    if forgotten:
        connection.hdel(keys.banned_tokens, *forgotten)
    return frozenset(pardoned)
