"""Streams of small rows that people read: metrics and evaluations."""

import msgpack
import redis

from replay_server.connection import call

Row = dict[str, object]
_FIELD = b"r"
MAX_ROW_BYTES = 256 * 1024


def append_row(connection: redis.Redis, stream_key: str, row: Row, maxlen: int) -> None:
    """Appends a row and lets the stream keep about ``maxlen`` of them."""
    connection.xadd(stream_key, {_FIELD: msgpack.packb(row)}, maxlen=maxlen, approximate=True)


def read_rows(
    connection: redis.Redis, stream_key: str, after: bytes | None, count: int
) -> list[tuple[bytes, Row]]:
    """Returns up to ``count`` rows with their ids, oldest first; what does not decode is skipped.

    Args:
        connection: Redis.
        stream_key: the stream.
        after: id of the last row that the caller has, or None to start with the oldest.
        count: most rows returned.
    """
    start = b"-" if after is None else b"(" + after
    rows = []
    entries: list[tuple[bytes, dict[bytes, bytes]]] = call(
        connection, "XRANGE", stream_key, start, "+", "COUNT", count
    )
    for entry_id, fields in entries:
        row = _decode(fields.get(_FIELD, b""))
        if row is not None:
            rows.append((entry_id, row))
    return rows


def _decode(packed: bytes) -> Row | None:
    if len(packed) > MAX_ROW_BYTES:
        return None
    try:
        row = msgpack.unpackb(packed, max_ext_len=0)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError):
        return None
    return row if isinstance(row, dict) else None
