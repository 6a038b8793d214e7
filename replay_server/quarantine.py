"""Where entries go that failed their check, so that no consumer meets them twice."""

import redis
import structlog

from common.keys import Keys
from replay_server.connection import Fields

KEPT_ENTRIES = 1000
KEPT_BYTES = 4096
"""How much of an entry's metadata is kept for a person to look at."""
_log = structlog.get_logger()


def quarantine(
    connection: redis.Redis,
    keys: Keys,
    *,
    actor: str,
    entry_id: str,
    reason: str,
    meta: bytes,
) -> None:
    """Moves an entry out of its actor's streams, in one transaction."""
    pipe = connection.pipeline(transaction=True)
    fields: Fields = {
        "actor": actor,
        "entry": entry_id,
        "reason": reason,
        "meta": meta[:KEPT_BYTES],
    }
    pipe.xadd(keys.quarantine, fields, maxlen=KEPT_ENTRIES, approximate=True)
    pipe.xdel(keys.meta(actor), entry_id)
    pipe.xdel(keys.frames(actor), entry_id)
    pipe.execute()
    _log.warning("segment_quarantined", actor=actor, entry=entry_id, reason=reason)
