"""How much of a nuisance an actor may be before it is shut out.

An actor can write what it likes to its own two streams. Whatever it does there is told from what an
honest actor does, after an outage with a whole spool behind it too, by marks that no honest actor can
have: entries larger than any segment, frames without metadata, hundreds of entries that do not decode,
or a backlog that fills Redis and only grows. Who has one is shut out: its streams are emptied and no
longer read.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import redis
import structlog

from common.contract import Contract
from common.game_spec import GameSpec
from common.keys import Keys
from common.segment import MAX_FRAMES
from common.wire import MAX_META_BYTES
from replay_server.refusal_book import RefusalBook
from replay_server.refusals import Kind

LOOK_PERIOD_S = 1.0
LOOKS_PER_S = 250
"""Actors looked at a second at most: four commands each would double what a large fleet costs Redis."""
FORGIVEN: Mapping[Kind, int] = {
    # A damaged disk spoils a few entries of a spool and hundreds of nobody's.
    **dict.fromkeys(("damaged", "fields", "identity", "frames", "orphans", "unpaired"), 200),
    # No version of ours ever wrote one.
    "size": 2,
}
"""Refused entries of each kind that an actor is forgiven, counted since the service started."""
UNPAIRED_ALLOWED = 256
"""Entries that one stream of an actor may hold more than the other, while one of them is trimmed."""
LOOKS_IN_A_ROW = 3
SLACK_ENTRIES = 200
"""Deleted entries whose memory Redis still holds: a node is freed with its last entry."""
SLACK_BYTES = 4 * 1024 * 1024
LARGEST_SHARE = 0.75
"""Share of Redis's memory that all streams may take before a growing backlog is held against an actor."""
BACKLOG_SPOOLS = 2
"""A backlog of less than so many whole spools is never held against an actor."""
PATIENCE_S = 5.0
"""How long a backlog must not have shrunk: a second is enough for the service to read from any actor."""
_SMALLEST_META_BYTES = 512
_log = structlog.get_logger()
_Sizes = Mapping[str, "_Size"]


@dataclass(frozen=True, slots=True)
class _Size:
    """What the two streams of an actor hold."""

    metas: int
    frames: int
    meta_bytes: int
    frames_bytes: int

    @property
    def entries(self) -> int:
        return self.metas + self.frames

    @property
    def bytes(self) -> int:
        return self.meta_bytes + self.frames_bytes


class Quota:
    """Looks at what the actors' streams hold, and shuts out who abuses them.

    Args:
        connection: used by one thread only.
        keys: keyspace of the run.
        contract: of the run; says how large segments are and how much an actor spools.
        retained: returns how many entries of each actor are indexed; asked for when memory runs short.
    """

    def __init__(
        self,
        connection: redis.Redis,
        keys: Keys,
        contract: Contract,
        *,
        retained: Callable[[], Counter[str]],
    ) -> None:
        self._redis = connection
        self._keys = keys
        config = contract.config
        self._spool_bytes = config.actors.spool_max_bytes
        self._redis_bytes = config.replay.max_redis_bytes
        self._largest_meta = _largest_meta(contract.spec)
        self._largest_frames = _largest_frames(contract.spec)
        smallest = _SMALLEST_META_BYTES + contract.spec.frame_bytes * (contract.spec.history + 1)
        self._forgiven = {**FORGIVEN, "contract": BACKLOG_SPOOLS * self._spool_bytes // smallest}
        self._retained = retained
        self.book = RefusalBook(connection, keys)
        self._before: dict[str, Counter[Kind]] | None = None
        self._apart: Counter[str] = Counter()
        self._backlogs: dict[str, tuple[int, float]] = {}
        self._next_look = 0.0
        self.banned: dict[str, str] = {}

    def look(self, actors: Iterable[str]) -> None:
        """Looks once a second, less often where there are many actors, and brings ``banned`` up to date.

        What is found is freed first and booked then: a full Redis denies the second alone.

        Raises:
            redis.RedisError: Redis is away; call again.
        """
        if time.monotonic() < self._next_look:
            return
        self._take_bans()
        sizes = self._sizes(actors)
        for actor, reason in self._judge(sizes).items():
            if actor not in self.banned:
                self.banned[actor] = reason
                self.book.ban(actor, reason)
                _log.error("actor_banned", actor=actor, reason=reason)
        self._empty(actor for actor in self.banned if actor in sizes and sizes[actor].entries)
        self.book.settle()
        self._next_look = time.monotonic() + max(LOOK_PERIOD_S, len(sizes) / LOOKS_PER_S)

    def _take_bans(self) -> None:
        """Takes over what the list says: a person may have let an actor in again, who then starts anew."""
        bans = self.book.bans()
        for actor in self.banned.keys() - bans.keys():
            _log.warning("ban_lifted", actor=actor)
            if self._before is not None:
                self._before[actor] = self.book.refusals().get(actor, Counter())
        self.banned = bans

    def _sizes(self, actors: Iterable[str]) -> dict[str, _Size]:
        names = list(actors)
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            meta, frames = self._keys.meta(name), self._keys.frames(name)
            pipe.xlen(meta)
            pipe.xlen(frames)
            pipe.memory_usage(meta, samples=0)
            pipe.memory_usage(frames, samples=0)
        found = [int(value or 0) for value in pipe.execute()]
        return {name: _Size(*found[4 * i : 4 * i + 4]) for i, name in enumerate(names)}

    def _judge(self, sizes: _Sizes) -> dict[str, str]:
        """Returns who is to be shut out, with the reason."""
        verdicts: dict[str, str] = {}
        for actor, size in sizes.items():
            self._count_unpaired(actor, size)
            too_large = self._too_large(size)
            if too_large is not None:
                verdicts[actor] = too_large
        refusals = self.book.refusals()
        if self._before is None:
            self._before = refusals
        for actor, counts in refusals.items():
            known = self._before.get(actor, Counter())
            for kind, count in counts.items():
                if count - known[kind] > self._forgiven[kind]:
                    verdicts[actor] = f"{count - known[kind]} entries refused: {kind}"
        verdicts.update(self._floods(sizes))
        return verdicts

    def _too_large(self, size: _Size) -> str | None:
        for name, entries, found, largest in (
            ("metadata", size.metas, size.meta_bytes, self._largest_meta),
            ("frames", size.frames, size.frames_bytes, self._largest_frames),
        ):
            if found > (entries + SLACK_ENTRIES) * largest + SLACK_BYTES:
                return f"{entries} entries of {name} take {found / 1e6:,.0f} MB"
        return None

    def _count_unpaired(self, actor: str, size: _Size) -> None:
        """Counts what one stream holds more than the other, where that lasts.

        Both entries of a segment come and go in one transaction.
        """
        excess = size.frames - size.metas
        self._apart[actor] = self._apart[actor] + 1 if abs(excess) > UNPAIRED_ALLOWED else 0
        if self._apart[actor] < LOOKS_IN_A_ROW:
            return
        self._apart[actor] = 0
        kind: Kind = "orphans" if excess > 0 else "unpaired"
        if excess > 0:
            self._redis.xtrim(self._keys.frames(actor), maxlen=size.metas, approximate=False)
        self.book.count(actor, {kind: abs(excess)})

    def _floods(self, sizes: _Sizes) -> dict[str, str]:
        """Returns who fills Redis with entries faster than they can be read, and for how long already.

        Only where memory runs short, and never for a backlog that shrinks: it is honest to come back
        with a whole spool, even to a service that was away.
        """
        if sum(size.bytes for size in sizes.values()) < LARGEST_SHARE * self._redis_bytes:
            self._backlogs.clear()
            return {}
        retained, now_s = self._retained(), time.monotonic()
        floods = {}
        for actor, size in sizes.items():
            unread = max(0, size.metas - retained[actor])
            backlog = size.bytes * unread // max(1, size.metas)
            least, since_s = self._backlogs.get(actor, (backlog, now_s))
            if backlog < max(least, BACKLOG_SPOOLS * self._spool_bytes):
                least, since_s = backlog, now_s
            self._backlogs[actor] = least, since_s
            if now_s - since_s > PATIENCE_S:
                floods[actor] = f"{backlog / 1e6:,.0f} MB unread and growing while Redis is full"
        return floods

    def _empty(self, actors: Iterable[str]) -> None:
        """Frees what those who are shut out still have in Redis.

        The streams stay, empty: their newest id tells a reader that nothing of it will come again.
        """
        pipe = self._redis.pipeline(transaction=False)
        for actor in actors:
            pipe.xtrim(self._keys.meta(actor), maxlen=0, approximate=False)
            pipe.xtrim(self._keys.frames(actor), maxlen=0, approximate=False)
        pipe.execute()


def _largest_meta(spec: GameSpec) -> int:
    """Returns the most memory that Redis takes for the metadata of a segment, in bytes."""
    step = 1 + 4 + 4 + 4 * spec.n_features
    return min(MAX_META_BYTES, 4096 + 2 * MAX_FRAMES * step)


def _largest_frames(spec: GameSpec) -> int:
    """Returns the most memory that Redis takes for the frames of a segment, in bytes."""
    return 1024 + MAX_FRAMES * spec.frame_bytes * 5 // 4
