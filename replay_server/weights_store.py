"""The newest weights, as one opaque value that starts with its version."""

import redis

from common.keys import Keys
from common.weights_prefix import VERSION
from replay_server.connection import call


class WeightsStore:
    """Publishes weights, and tells cheaply whether there are newer ones.

    Polling the version is the guarantee; the pub/sub channel only hints, since a slow subscriber
    loses messages, and carries the version alone, since Redis would hold blobs for it.
    """

    def __init__(self, connection: redis.Redis, keys: Keys) -> None:
        self._redis = connection
        self._keys = keys

    def publish(self, version: int, blob: bytes) -> None:
        """Replaces the weights and announces the version.

        Args:
            version: learner step of the weights.
            blob: starts with the same version, as ``VERSION`` packs it.
        """
        assert VERSION.unpack_from(blob)[0] == version, "the blob carries another version"
        self._redis.set(self._keys.weights, blob)
        self._redis.publish(self._keys.weights_hint, str(version))

    def version(self) -> int | None:
        """Returns the version of the newest weights without fetching them, None before the first."""
        prefix: bytes = call(self._redis, "GETRANGE", self._keys.weights, 0, VERSION.size - 1)
        return int(VERSION.unpack(prefix)[0]) if len(prefix) == VERSION.size else None

    def fetch(self) -> bytes | None:
        """Returns the newest weights, None before the first."""
        blob: bytes | None = call(self._redis, "GET", self._keys.weights)
        return blob
