"""Trims the log, by id: the replay service does it, and only what nobody needs."""

from collections.abc import Sequence

import redis

from common.errors import CorruptError
from common.keys import Keys
from replay_server.connection import call
from replay_server.index import EntryId, IndexEntry, format_entry_id
from replay_server.index_store import IndexStore
from replay_server.snapshot import decode_state

LONGEST_LOG = 2
"""A log never holds more than so many times the capacity, or a learner that is gone would fill Redis."""


def trim_floor(*, next_id: int, capacity: int, low: int, needed_from: int) -> int:
    """Returns the id below which the log may be trimmed.

    Args:
        next_id: id of the next transition.
        capacity: transitions that the replay keeps.
        low: oldest id that the learner's frame store holds.
        needed_from: oldest id that a checkpoint needs to be resumed.
    """
    unneeded = min(low, needed_from, next_id - capacity)
    return max(0, unneeded, next_id - LONGEST_LOG * capacity)


def trim(connection: redis.Redis, keys: Keys, trimmed: Sequence[IndexEntry]) -> None:
    """Removes the oldest entries of the log: first the data, then the index.

    A crash in between leaves an index that names missing data, which readers pass over; the other order
    would leave data that a restarted service takes for new.
    """
    if not trimmed:
        return
    newest: dict[str, EntryId] = {entry.actor: entry.entry_id for entry in trimmed}
    # In no transaction: a full Redis takes none, and this is what makes room in it.
    data = connection.pipeline(transaction=False)
    for actor, (epoch, seq) in newest.items():
        oldest_kept = format_entry_id((epoch, seq + 1))
        data.xtrim(keys.meta(actor), minid=oldest_kept, approximate=False)
        data.xtrim(keys.frames(actor), minid=oldest_kept, approximate=False)
    data.execute()
    connection.xtrim(keys.index, minid=f"{trimmed[-1].end_id}-0", approximate=False)


def trim_at_rest(connection: redis.Redis, keys: Keys, *, capacity: int) -> int:
    """Trims the log of a run that nobody serves, as far as its last snapshot allows.

    A run that stopped on a full Redis could not be resumed otherwise: its first write would be refused.

    Args:
        connection: Redis.
        keys: keyspace of the run.
        capacity: transitions that the replay keeps.

    Returns:
        Segments removed.
    """
    blob: bytes | None = call(connection, "GET", keys.priorities)
    try:
        state = None if blob is None else decode_state(blob)
    except CorruptError:
        state = None
    index = IndexStore(connection, keys).load()
    floor = trim_floor(
        next_id=index.next_id,
        capacity=capacity,
        low=state.low if state else 0,
        needed_from=state.needed_from if state else 0,
    )
    gone = list(index.wholly_below(floor))
    trim(connection, keys, gone)
    return len(gone)
