"""One real write to a Redis that is not ours, before a run depends on it."""

import redis

from common.errors import MachineError
from common.keys import WRITE_PROBE

_PROBE_BYTES = 131_072
_PROBE_LIFE_MS = 1000


def probe_write(connection: redis.Redis, *, shown: str) -> None:
    """Writes as much as a short segment, because a server that reports free memory may refuse it.

    Args:
        connection: the server.
        shown: its address without the password.

    Raises:
        MachineError: it is full.
    """
    try:
        connection.set(WRITE_PROBE, bytes(_PROBE_BYTES), px=_PROBE_LIFE_MS)
    except redis.OutOfMemoryError as error:
        raise MachineError(
            f"Redis at {shown} is full.",
            f"it refused to write {_PROBE_BYTES} bytes: {error}",
            "raise its maxmemory (redis-cli -u URL CONFIG SET maxmemory BYTES), or delete runs there "
            "(their keys begin with am:{NAME}:)",
        ) from error
