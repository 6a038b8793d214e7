"""What was found out about actors, until it stands in Redis: a full one denies every note.

It never denies what frees memory, so whoever finds something out frees first, notes it here, and has it
booked as soon as Redis takes it.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping

import redis

from common.keys import Keys
from replay_server.refusals import Kind, Refusals, ban, count_refusals, read_bans, read_refusals


class RefusalBook:
    """The books in Redis with what is still to be booked.

    Args:
        connection: used by one thread only.
        keys: keyspace of the run.
    """

    def __init__(self, connection: redis.Redis, keys: Keys) -> None:
        self._redis = connection
        self._keys = keys
        self._counts: dict[str, Counter[Kind]] = {}
        self._bans: dict[str, str] = {}

    def count(self, actor: str, counts: Mapping[Kind, int]) -> None:
        """Notes entries that were refused."""
        self._counts.setdefault(actor, Counter()).update(counts)

    def ban(self, actor: str, reason: str) -> None:
        """Notes that an actor is shut out."""
        self._bans[actor] = reason

    def settle(self) -> None:
        """Books what was noted; a full Redis leaves it for the next time.

        Raises:
            redis.RedisError: Redis is away; call again.
        """
        with contextlib.suppress(redis.OutOfMemoryError):
            for actor, reason in list(self._bans.items()):
                ban(self._redis, self._keys, actor, reason)
                del self._bans[actor]
            for actor, counts in list(self._counts.items()):
                pipe = self._redis.pipeline(transaction=True)
                count_refusals(pipe, self._keys, actor, counts)
                pipe.execute()
                del self._counts[actor]

    def bans(self) -> dict[str, str]:
        """Returns who is shut out, booked or not."""
        return read_bans(self._redis, self._keys) | self._bans

    def refusals(self) -> Refusals:
        """Returns what was refused, booked or not."""
        books = read_refusals(self._redis, self._keys)
        for actor, counts in self._counts.items():
            books.setdefault(actor, Counter()).update(counts)
        return books
