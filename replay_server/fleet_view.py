"""What an actor follows of its run, in one round trip: the switch, the limiter, its place, the episodes."""

from dataclasses import dataclass

import redis
import structlog

from common.keys import Keys
from replay_server.control import State, parse_state
from replay_server.index import parse_entry_id
from replay_server.rate_limiter import LimiterState, decode_limiter

_MAX_DIGITS = 9
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FleetPlace:
    """Where an actor stands in its fleet.

    Attributes:
        index: from 0; its rung on the epsilon ladder.
        count: actors of the fleet.
    """

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class FleetView:
    """What the run tells its actors.

    Attributes:
        control: the run's switch.
        limiter: what the limiter allows, None before the service started.
        place: where this actor stands; None where it was not asked, the launcher has not said, or the
            value is damaged.
        episodes: episodes of the whole fleet; None where they were not asked.
    """

    control: State | None
    limiter: LimiterState | None
    place: FleetPlace | None
    episodes: int | None


def read_fleet(
    connection: redis.Redis, keys: Keys, *, actor: str | None = None, episodes: bool = False
) -> FleetView:
    """Asks for all of it at once; its cost does not depend on how many actors there are.

    Args:
        connection: Redis.
        keys: the run.
        actor: whose place is asked for.
        episodes: whether to ask how many there were.

    Raises:
        redis.RedisError: Redis is away or refuses.
    """
    pipe = connection.pipeline(transaction=False)
    pipe.mget(keys.control, keys.limiter)
    if actor is not None:
        pipe.hget(keys.fleet, actor)
        pipe.hlen(keys.fleet)
    if episodes:
        pipe.xinfo_stream(keys.episodes)
    replies = pipe.execute(raise_on_error=False)
    counted = _last_number(replies.pop()) if episodes else None
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
    control, limiter = replies[0]
    place = None
    if actor is not None and replies[2]:
        place = _place(replies[1], int(replies[2]), actor=actor)
    return FleetView(parse_state(control), decode_limiter(limiter), place, counted)


def _place(index: bytes | None, count: int, *, actor: str) -> FleetPlace | None:
    """Returns the place that the launcher gave an actor, behind all others until it gave one.

    None where the value is no place: whoever asks goes on with the one before.
    """
    if index is None:
        return FleetPlace(count, count + 1)
    if not index.isdigit() or len(index) > _MAX_DIGITS:
        _log.warning("fleet_place_corrupt", actor=actor, value=repr(index[:_MAX_DIGITS]))
        return None
    return FleetPlace(int(index), count)


def _last_number(reply: object) -> int:
    """Returns the number of the newest episode, 0 before the first."""
    if isinstance(reply, redis.RedisError):
        if "no such key" not in str(reply):
            raise reply
        return 0
    assert isinstance(reply, dict)
    return parse_entry_id(reply["last-generated-id"])[0]
