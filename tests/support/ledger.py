"""Compares the books: what actors appended against what their streams hold, entry by entry."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import redis

from common.keys import Keys
from common.wire import decode_meta
from replay_server.connection import call


@dataclass(frozen=True, slots=True)
class Audit:
    """What the books disagree about; empty where nothing was lost or doubled.

    Attributes:
        lost: (actor, tag) of segments that were appended and that no entry holds.
        doubled: (actor, tag) of segments that several entries hold.
    """

    lost: list[tuple[str, int]]
    doubled: list[tuple[str, int]]


def audit(connection: redis.Redis, keys: Keys, appended: Mapping[str, int]) -> Audit:
    """Reads the streams themselves, so that no check of a reader hides an entry.

    Args:
        connection: Redis.
        keys: the run; nothing may have been trimmed.
        appended: segments by actor, tagged 0, 1, 2, ...
    """
    lost, doubled = [], []
    for actor, count in appended.items():
        held = _tags(connection, keys.meta(actor))
        lost += [(actor, tag) for tag in range(count) if held[tag] == 0]
        doubled += [(actor, tag) for tag, entries in sorted(held.items()) if entries > 1]
        assert sum(held.values()) == connection.xlen(keys.frames(actor))
    return Audit(lost, doubled)


def held(connection: redis.Redis, keys: Keys, actors: Iterable[str]) -> Counter[tuple[str, int]]:
    """Returns how many entries of each actor's stream hold each tag."""
    counts: Counter[tuple[str, int]] = Counter()
    for actor in actors:
        counts.update({(actor, tag): n for tag, n in _tags(connection, keys.meta(actor)).items()})
    return counts


def _tags(connection: redis.Redis, stream: str) -> Counter[int]:
    entries: list[tuple[bytes, dict[bytes, bytes]]] = call(connection, "XRANGE", stream, "-", "+")
    return Counter(int(decode_meta(fields[b"m"]).rewards[0]) for _, fields in entries)
