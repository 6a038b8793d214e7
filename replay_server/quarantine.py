"""Where entries go that failed their check, so that no consumer meets them twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from common.keys import Keys
from replay_server.connection import Fields
from replay_server.refusals import Kind, count_refusals, printable

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
    connection: redis.Redis, keys: Keys, *, actor: str, refused: Sequence[Refused]
) -> None:
    """Moves entries out of their actor's streams and counts them, all in one transaction."""
    pipe = connection.pipeline(transaction=True)
    for entry in refused:
        fields: Fields = {
            "actor": actor,
            "entry": entry.entry_id,
            "kind": entry.kind,
            "reason": printable(entry.reason),
            "meta": entry.meta[:KEPT_BYTES],
        }
        pipe.xadd(keys.quarantine, fields, maxlen=KEPT_ENTRIES, approximate=True)
    entry_ids = [entry.entry_id for entry in refused]
    pipe.xdel(keys.meta(actor), *entry_ids)
    pipe.xdel(keys.frames(actor), *entry_ids)
    count_refusals(pipe, keys, actor, Counter(entry.kind for entry in refused))
    pipe.execute()
