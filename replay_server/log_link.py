"""One connection from an actor to its two streams, which never reconnects behind our back.

redis-py's pool replaces a dead connection silently. A writer must notice instead: what a restarted server
lost has to be sent again before anything newer, or its ids are refused for ever.
"""

from collections.abc import Sequence
from typing import Any, cast

import redis

from common.keys import Keys
from common.wire import EncodedSegment
from replay_server.connection import connect
from replay_server.contract_store import fingerprint_in
from replay_server.index import EntryId, parse_entry_id


class LogLink:
    """An open connection; any error leaves it unusable, and the caller opens another.

    Args:
        url: Redis.
        keys: keyspace of the run.
        actor: whose streams.

    Raises:
        redis.RedisError: Redis does not answer.
    """

    def __init__(self, url: str, keys: Keys, actor: str) -> None:
        client = connect(url, name=f"actor-{actor}")
        # Any: redis-py leaves most methods of a connection without types.
        self._connection = cast("Any", client.connection_pool.make_connection())
        self._connection.connect()
        self._contract = keys.contract
        self._meta = keys.meta(actor)
        self._frames = keys.frames(actor)

    def last_entry(self) -> EntryId:
        """Returns the newest id that the stream ever had, (0, 0) before the first."""
        self._connection.send_command("XINFO", "STREAM", self._meta)
        try:
            facts: list[bytes] = self._connection.read_response()
        except redis.ResponseError as error:
            if "no such key" not in str(error):
                raise
            return 0, 0
        return parse_entry_id(facts[facts.index(b"last-generated-id") + 1])

    def fingerprint(self) -> str | None:
        """Returns the fingerprint of the contract that the run has on this server, None where it has none."""
        self._connection.send_command("GET", self._contract)
        packed: bytes | None = self._connection.read_response()
        return None if packed is None else fingerprint_in(packed)

    def append(self, segments: Sequence[EncodedSegment]) -> bool:
        """Appends segments in one transaction.

        Returns:
            Whether all were taken; otherwise an id was not above the stream's newest.

        Raises:
            redis.RedisError: Redis is away, full or refuses; whether it took them is unknown.
        """
        commands: list[tuple[bytes | str, ...]] = [("MULTI",)]
        for segment in segments:
            commands.append(("XADD", self._meta, segment.entry_id, "m", segment.meta))
            commands.append(("XADD", self._frames, segment.entry_id, "f", segment.frames))
        commands.append(("EXEC",))
        self._connection.send_packed_command(self._connection.pack_commands(commands))
        for _ in commands[:-1]:
            self._connection.read_response()
        results: list[object] = self._connection.read_response()
        problems = [result for result in results if isinstance(result, redis.RedisError)]
        for problem in problems:
            if "equal or smaller" not in str(problem):
                raise problem
        return not problems

    def closed_by_peer(self) -> bool:
        """Returns whether the server hung up while nothing was under way."""
        try:
            return bool(self._connection.can_read(timeout=0))
        except redis.ConnectionError:
            return True

    def close(self) -> None:
        """Closes the connection."""
        self._connection.disconnect()
