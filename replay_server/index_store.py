"""The index and the episodes in Redis: loaded at a start, extended in a guarded transaction."""

import contextlib
import secrets
from collections.abc import Callable, Sequence

import redis
import structlog

from common.errors import CorruptError, MismatchError
from common.keys import Keys
from common.wire import decode_meta
from replay_server.connection import Fields, call
from replay_server.episodes import KEPT_EPISODES, Episode, last_episode_number
from replay_server.index import IndexEntry, LogIndex, format_entry_id, parse_entry_id
from replay_server.stream_end import last_generated_id

_PAGE = 512
_ATTEMPTS = 5
"""An append is repeated at once where our own trimming of the index came in between."""
_log = structlog.get_logger()
_Entries = list[tuple[bytes, dict[bytes, bytes]]]


class IndexStore:
    """Reads and extends the index as its only owner.

    The index in memory leads. Before each append the store compares what Redis has, inside a WATCH, and
    appends all that is missing: the new entries, and after a power cut also the old ones with their old
    ids. A second service takes the ownership over, and the first one then stops.
    """

    def __init__(self, connection: redis.Redis, keys: Keys) -> None:
        self._redis = connection
        self._keys = keys
        self._token = secrets.token_bytes(16)

    def claim(self) -> None:
        """Becomes the owner; an older service loses its right to append.

        A full Redis takes no token, so there the key is only removed: whichever service then appends
        first owns the index, and the other one stops.
        """
        try:
            self._redis.set(self._keys.owner, self._token)
        except redis.OutOfMemoryError as error:
            _log.warning(
                "redis_full", what="the index is claimed with the first append", error=str(error)
            )
            self._redis.delete(self._keys.owner)

    def check_owner(self) -> None:
        """Finds out whether another service has taken over.

        Raises:
            MismatchError: it has.
        """
        if call(self._redis, "GET", self._keys.owner) not in (None, self._token):
            raise _taken_over(self._keys)

    def load(self) -> LogIndex:
        """Returns the index as Redis has it, with the priorities that actors computed."""
        index = LogIndex()
        start = b"-"
        while True:
            page: _Entries = call(
                self._redis, "XRANGE", self._keys.index, start, "+", "COUNT", _PAGE
            )
            if not page:
                break
            for entry in self._parse(page):
                index.load(entry)
            start = b"(" + page[-1][0]
        index.next_id = max(index.next_id, self._stored_next_id(self._redis))
        return index

    def last_episode(self) -> int:
        """Returns the number of the newest episode in Redis, 0 before the first."""
        return last_episode_number(self._redis, self._keys)

    def append(
        self, entries_since: Callable[[int], list[IndexEntry]], episodes: Sequence[Episode]
    ) -> int:
        """Brings Redis up to the index and the episodes in memory, whatever part of them it has.

        Args:
            entries_since: returns the entries in memory from an id on.
            episodes: the newest episodes in memory, at least all that Redis may lack.

        Returns:
            How many entries were missing.

        Raises:
            MismatchError: another replay service owns the index now.
            redis.RedisError: Redis is away or full; nothing was written.
        """
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(redis.WatchError):
                return self._append_once(entries_since, episodes)
        return self._append_once(entries_since, episodes)

    def _append_once(
        self, entries_since: Callable[[int], list[IndexEntry]], episodes: Sequence[Episode]
    ) -> int:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(  # type: ignore[no-untyped-call]
                self._keys.owner, self._keys.index, self._keys.episodes
            )
            owner = pipe.get(self._keys.owner)
            if owner not in (None, self._token):
                raise _taken_over(self._keys)
            stored_id = self._stored_next_id(pipe)
            stored_episode = last_generated_id(pipe, self._keys.episodes)[0]
            missing = entries_since(stored_id)
            pipe.multi()
            if owner is None:
                pipe.set(self._keys.owner, self._token)
            for entry in missing:
                fields: Fields = {"a": entry.actor, "e": format_entry_id(entry.entry_id)}
                pipe.xadd(self._keys.index, fields, id=entry.index_id)
            for episode in episodes:
                if episode.n > stored_episode:
                    pipe.xadd(
                        self._keys.episodes,
                        episode.fields(),
                        id=f"{episode.n}-1",
                        maxlen=KEPT_EPISODES,
                        approximate=True,
                    )
            pipe.execute()
        return len(missing)

    def stored_next_id(self) -> int:
        """Returns the id after the newest entry in Redis."""
        return self._stored_next_id(self._redis)

    def _stored_next_id(self, client: redis.Redis) -> int:
        return sum(last_generated_id(client, self._keys.index))

    def _parse(self, page: _Entries) -> list[IndexEntry]:
        pipe = self._redis.pipeline(transaction=False)
        for _, fields in page:
            entry_id = fields[b"e"].decode()
            pipe.xrange(self._keys.meta(fields[b"a"].decode()), min=entry_id, max=entry_id)
        metas: list[_Entries] = pipe.execute()
        entries = []
        for (index_id, fields), found in zip(page, metas, strict=True):
            first_id, count = parse_entry_id(index_id)
            priorities = None
            if found:
                try:
                    priorities = decode_meta(found[0][1].get(b"m", b"")).priorities
                except CorruptError as error:
                    _log.warning("indexed_segment_damaged", first_id=first_id, reason=error.why)
            entries.append(
                IndexEntry(
                    first_id,
                    count,
                    fields[b"a"].decode(),
                    parse_entry_id(fields[b"e"]),
                    priorities if priorities is not None and len(priorities) == count else None,
                )
            )
        return entries


def _taken_over(keys: Keys) -> MismatchError:
    return MismatchError(
        f"Another replay service serves run {keys.run!r} now.",
        "it claimed the index after this one; two writers would give one id to two transitions",
        "stop this one; apexmania status shows which is alive",
    )
