"""Segments that Redis has not confirmed yet: in memory, and on disk while Redis is away."""

import struct
import zlib
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from common.errors import CorruptError
from common.segment import SegmentMeta
from common.wire import EncodedSegment, decode_meta, renumber
from replay_server.index import EntryId, format_entry_id

_HEADER = struct.Struct("<II")
SUFFIX = ".segment"
_log = structlog.get_logger()


@dataclass(slots=True)
class Waiting:
    """A segment that waits.

    Attributes:
        entry_id: epoch and seq.
        episode: the actor's episode number in that epoch.
        transitions: transitions in it.
        size_bytes: metadata and frames.
        encoded: its bytes, or None where only the disk has them.
        path: its file, or None where only memory has it.
        resent: Redis confirmed it once and then lost it.
    """

    entry_id: EntryId
    episode: int
    transitions: int
    size_bytes: int
    encoded: EncodedSegment | None
    path: Path | None = None
    resent: bool = False


@dataclass(slots=True)
class Dropped:
    """What a spool gave up.

    Attributes:
        segments: how many segments.
        transitions: how many transitions.
    """

    segments: int = 0
    transitions: int = 0

    def add(self, waiting: Waiting) -> None:
        """Counts one more."""
        self.segments += 1
        self.transitions += waiting.transitions


@dataclass(slots=True)
class Spool:
    """Waiting segments in the order of their ids.

    One thread appends, another one does the rest.

    Attributes:
        folder: where segments wait on disk; None keeps them in memory.
        max_bytes: beyond it whole oldest episodes are dropped.
        waiting: the segments, oldest first.
        dropped: what was given up so far.
        size_bytes: bytes waiting, on disk or in memory.
    """

    folder: Path | None
    max_bytes: int
    waiting: deque[Waiting] = field(default_factory=deque)
    dropped: Dropped = field(default_factory=Dropped)
    size_bytes: int = 0

    def load(self) -> None:
        """Takes up what an earlier process of this actor left on disk."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.tmp"):
            path.unlink()
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                encoded, meta = _read(path)
            except CorruptError as error:
                _log.warning("spooled_segment_damaged", path=str(path), reason=error.why)
                path.unlink()
                self.dropped.segments += 1
                continue
            waiting = _waiting(encoded, meta)
            waiting.encoded, waiting.path = None, path
            self._add(waiting)

    def append(self, encoded: EncodedSegment, meta: SegmentMeta) -> None:
        """Adds the newest segment, in memory for now."""
        self._add(_waiting(encoded, meta))

    def put_back(self, waiting: Waiting) -> None:
        """Adds a segment older than all that wait."""
        self.waiting.appendleft(waiting)
        self.size_bytes += waiting.size_bytes

    def remove_first(self) -> Waiting:
        """Removes the oldest segment, from disk too."""
        waiting = self.waiting.popleft()
        self.size_bytes -= waiting.size_bytes
        if waiting.path is not None:
            waiting.path.unlink(missing_ok=True)
            waiting.path = None
        return waiting

    def drop_first(self) -> None:
        """Gives the oldest segment up."""
        self.dropped.add(self.remove_first())

    def fetch(self, waiting: Waiting) -> EncodedSegment | None:
        """Returns the bytes of a segment, None where its file is gone or damaged."""
        if waiting.encoded is None:
            assert waiting.path is not None
            try:
                waiting.encoded = _read(waiting.path)[0]
            except (CorruptError, OSError) as error:
                _log.warning("spooled_segment_lost", path=str(waiting.path), error=str(error))
        return waiting.encoded

    def move_to_disk(self) -> None:
        """Writes what waits in memory to disk; a full disk leaves it in memory."""
        if self.folder is None:
            return
        for waiting in list(self.waiting):
            if waiting.path is None and waiting.encoded is not None:
                try:
                    waiting.path = _write(self.folder, waiting.encoded)
                except OSError as error:
                    _log.warning("spool_disk_refused", folder=str(self.folder), error=str(error))
                    return
            waiting.encoded = None if waiting.path is not None else waiting.encoded

    def enforce_limit(self) -> None:
        """Drops whole oldest episodes until the rest fits, and counts them."""
        while self.size_bytes > self.max_bytes and self.waiting:
            epoch, episode = self.waiting[0].entry_id[0], self.waiting[0].episode
            before = self.dropped.segments
            while (
                self.waiting
                and self.waiting[0].entry_id[0] == epoch
                and self.waiting[0].episode == episode
            ):
                self.drop_first()
            _log.warning(
                "spooled_episode_dropped",
                episode=episode,
                segments=self.dropped.segments - before,
                fix="raise actors.spool_max_bytes",
            )

    def change_epoch(self, *, old: int, new: int) -> None:
        """Gives the segments of one epoch another one, which no entry of theirs has used."""
        for waiting in self.waiting:
            if waiting.entry_id[0] != old:
                continue
            encoded = self.fetch(waiting)
            if encoded is None:
                continue
            waiting.entry_id = (new, waiting.entry_id[1])
            waiting.encoded = EncodedSegment(
                format_entry_id(waiting.entry_id),
                renumber(encoded.meta, epoch=new, seq=waiting.entry_id[1]),
                encoded.frames,
                encoded.transitions,
            )
            if waiting.path is not None:
                waiting.path.unlink(missing_ok=True)
                waiting.path = None

    def _add(self, waiting: Waiting) -> None:
        self.waiting.append(waiting)
        self.size_bytes += waiting.size_bytes


def _waiting(encoded: EncodedSegment, meta: SegmentMeta) -> Waiting:
    return Waiting(
        entry_id=(meta.epoch, meta.seq),
        episode=meta.episode,
        transitions=encoded.transitions,
        size_bytes=len(encoded.meta) + len(encoded.frames),
        encoded=encoded,
    )


def _write(folder: Path, encoded: EncodedSegment) -> Path:
    epoch, _, seq = encoded.entry_id.partition("-")
    path = folder / f"{int(epoch):020d}-{int(seq):020d}{SUFFIX}"
    unfinished = path.with_suffix(".tmp")
    header = _HEADER.pack(len(encoded.meta), zlib.crc32(encoded.frames))
    with unfinished.open("wb") as file:
        file.writelines((header, encoded.meta, encoded.frames))
    unfinished.replace(path)
    return path


def _read(path: Path) -> tuple[EncodedSegment, SegmentMeta]:
    blob = path.read_bytes()
    if len(blob) < _HEADER.size:
        raise CorruptError(f"Spooled segment {path} is cut.", "the file is too short", "delete it")
    length, frames_crc = _HEADER.unpack_from(blob)
    start = _HEADER.size + length
    packed, frames = blob[_HEADER.size : start], blob[start:]
    if zlib.crc32(frames) != frames_crc:
        raise CorruptError(f"Spooled segment {path} is cut.", "its crc32 is wrong", "delete it")
    meta = decode_meta(packed)
    return EncodedSegment(meta.entry_id, packed, frames, meta.transitions), meta
