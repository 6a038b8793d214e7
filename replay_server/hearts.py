"""Heartbeats: who is alive, and what each process says about itself."""

import contextlib

import msgpack
import redis

from common.keys import Keys
from common.wire import valid_actor
from replay_server.heart_fields import clean

LIFETIME_S = 10
"""A process without a heartbeat for so long is lost, whoever started it."""
MAX_HEART_BYTES = 64 * 1024
Heart = dict[str, object]


def beat(connection: redis.Redis, keys: Keys, name: str, fields: Heart) -> None:
    """Writes one heartbeat, which expires after 10 s."""
    packed: bytes = msgpack.packb(fields)
    assert len(packed) <= MAX_HEART_BYTES, f"a heartbeat of {len(packed)} bytes"
    connection.set(keys.heart(name), packed, ex=LIFETIME_S)


def say_left(connection: redis.Redis, keys: Keys, actor: str) -> None:
    """Says in an actor's place that it leaves: it was sent away, so nobody is to miss it.

    A full Redis does not take it; the actor is missed for an hour then.
    """
    with contextlib.suppress(redis.OutOfMemoryError):
        beat(connection, keys, actor, {"role": "actor", "actor": actor, "leaving": True})


def read_all(connection: redis.Redis, keys: Keys) -> dict[str, Heart]:
    """Returns the fields of every living process by name.

    What does not decode is left out, and so is a heartbeat that would not expire in time: its process
    would look alive for ever. Nothing of a heartbeat can surprise a caller: see ``heart_fields``.
    """
    prefix = len(keys.heart(""))
    found: list[bytes] = sorted(connection.scan_iter(match=keys.hearts_pattern, count=1000))
    names = [name.decode(errors="replace")[prefix:] for name in found]
    names = [name for name in names if valid_actor(name)]
    pipe = connection.pipeline(transaction=False)
    for name in names:
        pipe.getrange(keys.heart(name), 0, MAX_HEART_BYTES)
        pipe.ttl(keys.heart(name))
    replies = pipe.execute(raise_on_error=False)
    hearts = {}
    for name, value, ttl_s in zip(names, replies[::2], replies[1::2], strict=True):
        for reply in (value, ttl_s):
            if isinstance(reply, redis.RedisError) and "WRONGTYPE" not in str(reply):
                raise reply
        if not isinstance(value, bytes) or not 0 <= ttl_s <= LIFETIME_S:
            continue
        fields = _decode(value)
        if fields is not None:
            hearts[name] = fields
    return hearts


def _decode(value: bytes) -> Heart | None:
    if len(value) > MAX_HEART_BYTES:
        return None
    try:
        fields = msgpack.unpackb(
            value, max_array_len=1024, max_map_len=128, max_str_len=4096, max_ext_len=0
        )
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError):
        return None
    return clean(fields)
