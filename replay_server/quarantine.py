"""Where entries go that failed their check, so that no consumer meets them twice."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from common.keys import Keys
from replay_server.connection import Fields
from replay_server.refusal_book import RefusalBook
from replay_server.refusals import Kind, printable

KEPT_ENTRIES = 1000
KEPT_BYTES = 4096
"""How much of an entry's metadata is kept for a person to look at: with the reasons at most 5 MB in all."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that failed its check.

    Attributes:
        entry_id: its id in the actor's streams.
        kind: under which it is counted.
        reason: for a person; may quote what the actor wrote.
        meta: its metadata, however broken.
    """

    entry_id: str
    kind: Kind
    reason: str
    meta: bytes


def quarantine(
    connection: redis.Redis,
    keys: Keys,
    book: RefusalBook,
    *,
    actor: str,
    refused: Sequence[Refused],
) -> None:
    """Moves entries out of their actor's streams and counts them.

    They are freed first, in commands that a full Redis takes too. It has no room for their texts then, and
    the count waits in the book.
    """
    entry_ids = [entry.entry_id for entry in refused]
    freed = connection.pipeline(transaction=False)
    freed.xdel(keys.meta(actor), *entry_ids)
    freed.xdel(keys.frames(actor), *entry_ids)
    freed.execute()
    book.count(actor, Counter(entry.kind for entry in refused))
    texts = connection.pipeline(transaction=True)
    for entry in refused:
        fields: Fields = {
            "actor": actor,
            "entry": entry.entry_id,
            "kind": entry.kind,
            "reason": printable(entry.reason),
            "meta": entry.meta[:KEPT_BYTES],
        }
        texts.xadd(keys.quarantine, fields, maxlen=KEPT_ENTRIES, approximate=True)
    with contextlib.suppress(redis.OutOfMemoryError):
        texts.execute()
    book.settle()
