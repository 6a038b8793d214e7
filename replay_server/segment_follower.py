"""Follows the metadata streams of every actor; frames are never read here."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis
import structlog

from common.contract import Contract
from common.errors import CorruptError
from common.keys import Keys
from common.repetitions import Repetitions
from common.segment import SegmentMeta
from common.wire import MAX_META_BYTES, check_spec, decode_meta, valid_actor
from replay_server.connection import call
from replay_server.index import EntryId, format_entry_id, parse_entry_id
from replay_server.pace import Pace
from replay_server.quarantine import Refused, quarantine
from replay_server.quota import Quota
from replay_server.refusals import Kind, printable
from replay_server.registry import registered

MAX_ENTRIES_PER_ACTOR = 32
"""Entries of one actor read at a time, so that no actor can flood the service's memory."""
DISCOVERY_PERIOD_S = 0.25
DISCOVERIES_PER_S = 2000
"""Names read a second at most, so that many actors are only looked for less often."""
STREAMS_PER_S = 20_000
"""Streams asked a second at most: each poll asks them all, and a wake-up for each of a thousand actors
would ask a million. Two actors wait 0.1 ms between polls for it, a thousand 50 ms."""
RESTING_PAUSE_S = 0.05
MOST_GAP = 2**31
"""Counted for one gap at most: an actor numbers its entries as it likes, up to 2**64, which no message
carries."""
_log = structlog.get_logger()
_Entries = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class NewSegment:
    """An entry beyond the known positions.

    Attributes:
        actor: whose stream holds it.
        entry_id: epoch and seq.
        meta: its metadata, or None where it was quarantined.
        gap: entries that the actor numbered but the log never got, just before this one.
    """

    actor: str
    entry_id: EntryId
    meta: SegmentMeta | None
    gap: int


class SegmentFollower:
    """Reads what actors append, and checks it.

    Args:
        connection: used by one thread only.
        keys: keyspace of the run.
        contract: what segments must have been written under.
        quota: who is shut out; it looks before anything is read.
        capacity: transitions that the replay holds; bounds how fast one actor may fill it.
    """

    def __init__(
        self,
        connection: redis.Redis,
        keys: Keys,
        contract: Contract,
        quota: Quota,
        capacity: int,
    ) -> None:
        self._redis = connection
        self._keys = keys
        self._contract = contract
        self._quota = quota
        self._pace = Pace(capacity)
        self._actors: dict[bytes, str] = {}
        self._next_discovery = 0.0
        self._next_poll = 0.0
        self._refusals = Repetitions()

    @property
    def banned(self) -> Mapping[str, str]:
        """The actors that are shut out, each with the reason."""
        return self._quota.banned

    def poll(self, positions: dict[str, EntryId], *, block_ms: int) -> list[NewSegment]:
        """Returns what every actor appended beyond its position, in a fair order.

        Entries that fail a check are moved to the quarantine and returned without metadata, so that
        the position can pass them.

        Args:
            positions: newest known entry of each actor.
            block_ms: longest wait for something new, in milliseconds.
        """
        self._discover()
        if not self._actors:
            time.sleep(min(block_ms / 1000.0, DISCOVERY_PERIOD_S))
            return []
        time.sleep(max(0.0, self._next_poll - time.monotonic()))
        asked = self._awake()
        if not asked:
            time.sleep(min(block_ms / 1000.0, RESTING_PAUSE_S))
            return []
        starts = [format_entry_id(positions.get(actor, (0, 0))) for actor in asked.values()]
        if len(asked) < len(self._actors):
            block_ms = min(block_ms, round(1000 * RESTING_PAUSE_S))
        block = ("BLOCK", min(block_ms, 1000)) if block_ms else ()
        reply: list[tuple[bytes, _Entries]] = call(
            self._redis,
            *("XREAD", "COUNT", MAX_ENTRIES_PER_ACTOR, *block, "STREAMS", *asked, *starts),
        )
        self._next_poll = time.monotonic() + len(self._actors) / STREAMS_PER_S
        segments: list[NewSegment] = []
        for key, entries in reply or []:  # in the order in which they were asked for
            actor = asked[key]
            found = self._checked(actor, entries, known=positions.get(actor))
            transitions = sum(each.meta.transitions for each in found if each.meta is not None)
            self._pace.spend(actor, transitions, len(found))
            segments += found
        return segments

    def _awake(self) -> dict[bytes, str]:
        """Returns the streams to ask for: of all actors but those that sent more than their share."""
        resting = self._pace.resting(self._actors.values())
        if not resting:
            return self._actors
        return {key: actor for key, actor in self._actors.items() if actor not in resting}

    def _discover(self) -> None:
        if time.monotonic() < self._next_discovery:
            return
        actors = sorted(filter(valid_actor, registered(self._redis, self._keys)))
        self._quota.look(actors)
        self._actors = {
            self._keys.meta(actor).encode(): actor
            for actor in actors
            if actor not in self._quota.banned
        }
        pause_s = max(DISCOVERY_PERIOD_S, len(actors) / DISCOVERIES_PER_S)
        self._next_discovery = time.monotonic() + pause_s

    def _checked(self, actor: str, entries: _Entries, *, known: EntryId | None) -> list[NewSegment]:
        segments, refused = [], []
        for raw_id, fields in entries:
            entry_id = parse_entry_id(raw_id)
            found = self._check(actor, entry_id, fields)
            if isinstance(found, Refused):
                refused.append(found)
            meta = found if isinstance(found, SegmentMeta) else None
            segments.append(NewSegment(actor, entry_id, meta, _gap(known, entry_id)))
            known = entry_id
        if refused:
            quarantine(self._redis, self._keys, self._quota.book, actor=actor, refused=refused)
            self._report(actor, refused)
        return segments

    def _check(
        self, actor: str, entry_id: EntryId, fields: dict[bytes, bytes]
    ) -> SegmentMeta | Refused:
        packed = fields.get(b"m", b"")
        kind: Kind = "damaged"
        size = sum(len(name) + len(value) for name, value in fields.items())
        if size > 2 * MAX_META_BYTES:
            kind, reason = "size", f"an entry of {size} bytes"
        elif fields.keys() != {b"m"}:
            kind, reason = "fields", "other fields than m alone"
        else:
            try:
                meta = decode_meta(packed)
                check_spec(meta, self._contract.spec)
            except CorruptError as error:
                reason = error.why
            else:
                if meta.contract != self._contract.fingerprint:
                    kind, reason = "contract", f"written under contract {meta.contract[:12]}"
                elif (meta.actor, meta.epoch, meta.seq) != (actor, *entry_id):
                    kind, reason = "identity", f"it says it is {meta.actor} {meta.entry_id}"
                else:
                    return meta
        return Refused(format_entry_id(entry_id), kind, reason, packed)

    def _report(self, actor: str, refused: Sequence[Refused]) -> None:
        count = self._refusals.add(actor, len(refused))
        if count:
            last = refused[-1]
            _log.warning(
                "segments_quarantined",
                actor=actor,
                count=count,
                newest=last.entry_id,
                kind=last.kind,
                reason=printable(last.reason),
            )


def _gap(known: EntryId | None, entry_id: EntryId) -> int:
    if known is None:
        return 0
    expected = known[1] + 1 if known[0] == entry_id[0] else 1
    return min(max(0, entry_id[1] - expected), MOST_GAP)
