"""Reads whole segments, frames included, in the order of the index; the learner fills its store so."""

import contextlib
import time
from dataclasses import dataclass

import redis
import structlog
from redis.exceptions import NoPermissionError

from common.errors import CorruptError
from common.game_spec import GameSpec
from common.keys import Keys
from common.repetitions import Repetitions
from common.segment import Segment
from common.wire import decode_segment
from replay_server.connection import call
from replay_server.index import parse_entry_id
from replay_server.quarantine import Refused, quarantine
from replay_server.refusal_book import RefusalBook
from replay_server.refusals import printable
from replay_server.stream_end import last_generated_id

MISSING = "the log no longer has it"
READ_AT_ONCE = 4
"""Segments whose frames are held undecoded: an actor may have written as much as Redis takes for each."""
COMES_AGAIN_S = 10.0
"""How long the reader waits for what a power cut took and the actor sends again within a second or two."""
_WAIT_S = 0.05
_log = structlog.get_logger()
_Entries = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class Indexed:
    """A segment with its ids, or why there is none behind them.

    Attributes:
        first_id: id of its first transition.
        count: transitions; its ids are [first_id, first_id + count).
        actor: who drove it.
        entry_id: epoch and seq as text.
        segment: the segment, or None where it is missing or failed its check.
        problem: what is wrong where there is no segment; its ids are then never sampled.
    """

    first_id: int
    count: int
    actor: str
    entry_id: str
    segment: Segment | None
    problem: str | None


class LogReader:
    """Follows the index from an absolute id.

    Args:
        connection: Redis.
        keys: keyspace of the run.
        spec: the game whose segments these are.
    """

    def __init__(self, connection: redis.Redis, keys: Keys, spec: GameSpec) -> None:
        self._redis = connection
        self._keys = keys
        self._spec = spec
        self._refusals = Repetitions()
        self._book = RefusalBook(connection, keys)
        self._awaited: dict[str, float] = {}

    def read(self, after: int | None, max_segments: int, block_ms: int) -> list[Indexed]:
        """Returns the next segments in the order of their ids; empty where nothing came in time.

        The index may be ahead of the log for a moment: after a power cut the replay service restores it at
        once, the actors their segments a little later. The reader stops before what is still on its way.

        Args:
            after: the id that comes next, which is ``first_id + count`` of the last segment read; None
                starts with the oldest retained segment.
            max_segments: most segments returned, each a quarter of a megabyte at 64x64.
            block_ms: longest wait for the first one, in milliseconds; at most 1000.

        Raises:
            redis.RedisError: Redis is away (``connection.OUTAGES``); call again with the same id.
        """
        start = "0-0" if after is None else f"{after}-0"
        block = ("BLOCK", min(block_ms, 1000)) if block_ms else ()
        reply: list[tuple[bytes, _Entries]] = call(
            self._redis,
            *("XREAD", "COUNT", max_segments, *block, "STREAMS", self._keys.index, start),
        )
        if not reply:
            return []
        index = reply[0][1]
        entries: list[Indexed] = []
        for first in range(0, len(index), READ_AT_ONCE):
            page = index[first : first + READ_AT_ONCE]
            fetched = self._fetch(page)
            entries += fetched
            if len(fetched) < len(page):
                break
        if not entries:
            time.sleep(_WAIT_S)
        return entries

    def bounds(self) -> tuple[int, int]:
        """Returns the first retained id and the id that comes next; equal where the log is empty."""
        oldest: _Entries = call(self._redis, "XRANGE", self._keys.index, "-", "+", "COUNT", 1)
        next_id = sum(last_generated_id(self._redis, self._keys.index))
        return (parse_entry_id(oldest[0][0])[0] if oldest else next_id), next_id

    def _fetch(self, index: _Entries) -> list[Indexed]:
        pipe = self._redis.pipeline(transaction=False)
        for _, fields in index:
            actor, entry_id = fields[b"a"].decode(), fields[b"e"].decode()
            pipe.xrange(self._keys.meta(actor), min=entry_id, max=entry_id)
            pipe.xrange(self._keys.frames(actor), min=entry_id, max=entry_id)
        found: list[_Entries] = pipe.execute()
        entries: list[Indexed] = []
        for position, (index_id, fields) in enumerate(index):
            metas, frames = found[2 * position], found[2 * position + 1]
            actor, entry_id = fields[b"a"].decode(), fields[b"e"].decode()
            if metas and frames:
                self._awaited.pop(actor, None)
            elif self._comes_again(actor, entry_id):
                return entries
            else:  # it may have come between the two reads
                metas = self._entry(self._keys.meta(actor), entry_id)
                frames = self._entry(self._keys.frames(actor), entry_id)
            entries.append(self._indexed(index_id, fields, metas, frames))
        return entries

    def _entry(self, stream: str, entry_id: str) -> _Entries:
        found: _Entries = call(self._redis, "XRANGE", stream, entry_id, entry_id)
        return found

    def _comes_again(self, actor: str, entry_id: str) -> bool:
        """Tells what a power cut took, which its actor sends again, from what was trimmed or given up."""
        if last_generated_id(self._redis, self._keys.meta(actor)) >= parse_entry_id(
            entry_id.encode()
        ):
            return False
        now = time.monotonic()
        if actor not in self._awaited:
            _log.warning("log_lost_its_tail", actor=actor, entry=entry_id)
        return now - self._awaited.setdefault(actor, now) < COMES_AGAIN_S

    def _indexed(
        self, index_id: bytes, fields: dict[bytes, bytes], metas: _Entries, frames: _Entries
    ) -> Indexed:
        first_id, count = parse_entry_id(index_id)
        actor, entry_id = fields[b"a"].decode(), fields[b"e"].decode()
        segment, problem = None, None
        if not metas and not frames:
            problem = MISSING
        else:
            meta = metas[0][1].get(b"m", b"") if metas else b""
            pixels = frames[0][1].get(b"f", b"") if frames else b""
            try:
                segment = decode_segment(meta, pixels, self._spec)
                problem = _disagreement(segment, actor, entry_id, count)
            except CorruptError as error:
                problem = error.why
            if problem is not None:
                segment = None
                self._quarantine(actor, Refused(entry_id, "frames", problem, meta))
        return Indexed(first_id, count, actor, entry_id, segment, problem)

    def _quarantine(self, actor: str, refused: Refused) -> None:
        """Sets an entry aside, where an access list lets it; else it is only passed over."""
        with contextlib.suppress(NoPermissionError):
            quarantine(self._redis, self._keys, self._book, actor=actor, refused=[refused])
        count = self._refusals.add(actor)
        if count:
            _log.warning(
                "segments_refused",
                actor=actor,
                count=count,
                newest=refused.entry_id,
                reason=printable(refused.reason),
            )


def _disagreement(segment: Segment, actor: str, entry_id: str, count: int) -> str | None:
    meta = segment.meta
    if (meta.actor, meta.entry_id) != (actor, entry_id):
        return f"it says it is {meta.actor} {meta.entry_id}"
    if meta.transitions != count:
        return f"{meta.transitions} transitions under {count} ids"
    return None
