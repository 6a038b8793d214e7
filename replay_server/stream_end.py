"""Where a stream ends: the newest id that it ever had, asked for without reading an entry."""

import redis

from common.errors import MismatchError
from replay_server.index import EntryId, parse_entry_id


def last_generated_id(client: redis.Redis, key: str) -> EntryId:
    """Returns the newest id that a stream ever had, trimmed or not; (0, 0) before the first."""
    try:
        facts = client.xinfo_stream(key)
    except redis.ResponseError as error:
        if "no such key" not in str(error):
            raise
        return 0, 0
    return parse_entry_id(facts["last-generated-id"])


def used_up(actor: str) -> MismatchError:
    """Returns the error for an actor above whose newest entry no number is left."""
    return MismatchError(
        f"The stream of the actor {actor!r} has no number left above its newest entry.",
        "somebody who has its password wrote an entry with the largest number that there is",
        f"on the head: apexmania token revoke {actor}, then apexmania token create ANOTHER-NAME; "
        "what waits in this actor's spool is lost",
    )
