"""Heartbeats: who is alive, and what each process says about itself."""

import msgpack
import redis

from common.keys import Keys
from replay_server.connection import call

LIFETIME_S = 10
"""A process without a heartbeat for so long is lost, whoever started it."""
MAX_HEART_BYTES = 64 * 1024
Heart = dict[str, object]


def beat(connection: redis.Redis, keys: Keys, name: str, fields: Heart) -> None:
    """Writes one heartbeat, which expires after 10 s."""
    packed: bytes = msgpack.packb(fields)
    assert len(packed) <= MAX_HEART_BYTES, f"a heartbeat of {len(packed)} bytes"
    connection.set(keys.heart(name), packed, ex=LIFETIME_S)


def read_all(connection: redis.Redis, keys: Keys) -> dict[str, Heart]:
    """Returns the fields of every living process by name; what does not decode is left out."""
    names: list[bytes] = sorted(connection.scan_iter(match=keys.hearts_pattern, count=1000))
    if not names:
        return {}
    prefix = len(keys.heart(""))
    values: list[bytes | None] = call(connection, "MGET", *names)
    hearts = {}
    for name, value in zip(names, values, strict=True):
        fields = _decode(value)
        if fields is not None:
            hearts[name.decode(errors="replace")[prefix:]] = fields
    return hearts


def _decode(value: bytes | None) -> Heart | None:
    if value is None or len(value) > MAX_HEART_BYTES:
        return None
    try:
        fields = msgpack.unpackb(
            value, max_array_len=1024, max_map_len=128, max_str_len=4096, max_ext_len=0
        )
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError):
        return None
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        return None
    return fields
