"""Follows the log in the background and hands its segments to the learner's thread.

One thread reads and checks segments ahead into a bounded queue; the learner's thread moves them into
the frame store between two learner steps, so the store needs no lock.
"""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from common.errors import UnreachableError
from common.game_spec import GameSpec
from common.keys import Keys
from learner.checkpoint import Progress
from learner.frame_store import FrameStore
from learner.sampler import Sampler
from replay_server.connection import OUTAGES, connect
from replay_server.log_reader import Indexed, LogReader

_log = structlog.get_logger()

_AHEAD_SEGMENTS = 64
_READ_SEGMENTS = 16
_BLOCK_MS = 200
_AWAY_PAUSE_S = 0.5
_WAIT_S = 0.02
_CONNECT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class LogBounds:
    """What the log held when the follower connected.

    Attributes:
        first: oldest id that can still be read.
        next: id after the newest.
    """

    first: int
    next: int


class IndexFollower:
    """Reads indexed segments in id order on a thread and a connection of its own.

    Args:
        url: Redis.
        keys: keyspace of the run.
        spec: what segments are checked against.
        after: id to start at; None starts at the oldest that the log has.
    """

    def __init__(self, url: str, keys: Keys, spec: GameSpec, *, after: int | None) -> None:
        self._url = url
        self._keys = keys
        self._spec = spec
        self.first_wanted = after
        self._after = after
        self._queue: queue.Queue[Indexed] = queue.Queue(_AHEAD_SEGMENTS)
        self._stop = threading.Event()
        self._connected = threading.Event()
        self._failure: BaseException | None = None
        self._away = False
        self.bounds = LogBounds(0, 0)
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stops the thread and waits for it."""
        self._stop.set()
        self._thread.join()

    @property
    def away(self) -> bool:
        """Whether Redis does not answer at the moment."""
        return self._away

    def wait_until_connected(self, timeout_s: float) -> bool:
        """Returns whether ``bounds`` are known, after waiting for them."""
        known = self._connected.wait(timeout_s)
        self._raise_failure()
        return known

    def take(self, *, wait_s: float = 0.0) -> Iterator[Indexed]:
        """Yields what has been read so far; waits for the first one at most ``wait_s`` seconds."""
        self._raise_failure()
        try:
            first = self._queue.get(timeout=wait_s) if wait_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            return
        yield first
        for _ in range(self._queue.qsize()):
            yield self._queue.get_nowait()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as failure:  # noqa: BLE001 - the thread's top loop; the learner raises it
            self._failure = failure
            self._connected.set()

    def _follow(self) -> None:
        connection = connect(self._url, name="learner-log")
        reader = LogReader(connection, self._keys, self._spec)
        while not self._stop.is_set():
            try:
                if not self._connected.is_set():
                    self.bounds = LogBounds(*reader.bounds())
                    self._connected.set()
                found = reader.read(self._after, _READ_SEGMENTS, _BLOCK_MS)
            except OUTAGES as error:
                self._report_away(str(error))
                self._stop.wait(_AWAY_PAUSE_S)
                continue
            self._report_back()
            for indexed in found:
                self._put(indexed)
                self._after = indexed.first_id + indexed.count
        connection.close()

    def _put(self, indexed: Indexed) -> None:
        """Waits for room, so that a busy learner slows the reading down."""
        while not self._stop.is_set():
            try:
                self._queue.put(indexed, timeout=0.2)
            except queue.Full:
                continue
            return

    def _report_away(self, error: str) -> None:
        if not self._away:
            _log.warning("log_unreachable", error=error, next_id=self._after)
        self._away = True

    def _report_back(self) -> None:
        if self._away:
            _log.info("log_back", next_id=self._after)
        self._away = False


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one segment of the log did to the frame store.

    Attributes:
        invalid_ids: ids that must never be sampled, since the log lost them or their segment failed
            its check.
        episode_ended: whether an episode ended with it.
    """

    invalid_ids: range
    episode_ended: bool


def ingest(store: FrameStore, indexed: Indexed) -> Ingested:
    """Moves one segment into the frame store.

    Ids that the log no longer has stay in the window without data, to be reported like those of a
    damaged segment; the store starts anew behind a gap as wide as its capacity.
    """
    if indexed.first_id + indexed.count <= store.high:
        return Ingested(range(0), episode_ended=False)
    first_missing = _cross_gap(store, indexed.first_id)
    if indexed.segment is None:
        _log.warning("segment_skipped", first_id=indexed.first_id, problem=indexed.problem)
        store.skip(indexed.first_id, indexed.count)
        return Ingested(range(first_missing, store.high), episode_ended=False)
    store.insert(indexed.first_id, indexed.segment)
    missing = range(first_missing, indexed.first_id)
    return Ingested(missing, episode_ended=indexed.segment.meta.ended)


def _cross_gap(store: FrameStore, first_id: int) -> int:
    """Moves the store's end to an id; returns the first of the ids before it that have no data."""
    expected = store.high
    if first_id == expected:
        return first_id
    if store.size or expected:
        _log.warning("log_gap", expected_id=expected, found_id=first_id)
    if store.size and expected < first_id < expected + store.capacity:
        store.skip(expected, first_id - expected)
        return expected
    store.start_at(first_id)
    return first_id


class LogFeed:
    """Feeds the frame store from the log, and counts the fleet's episodes on the way.

    Args:
        follower: reads ahead.
        store: receives the segments.
        sampler: is told which ids have no frames.
        counted: what a checkpoint has counted already; None counts from the start.
    """

    def __init__(
        self,
        follower: IndexFollower,
        store: FrameStore,
        sampler: Sampler,
        *,
        counted: Progress | None,
    ) -> None:
        self._follower = follower
        self._store = store
        self._sampler = sampler
        self._counted_to = counted.env_steps if counted else 0
        self.episodes = counted.episodes if counted else 0

    def start(self) -> None:
        """Starts reading ahead."""
        self._follower.start()

    def close(self) -> None:
        """Stops reading."""
        self._follower.close()

    def ingest(self, *, wait_s: float = 0.0) -> bool:
        """Moves what has been read into the store; returns whether an episode ended in it."""
        before = self.episodes
        for indexed in self._follower.take(wait_s=wait_s):
            done = ingest(self._store, indexed)
            self._sampler.mark_invalid(done.invalid_ids)
            if done.episode_ended and indexed.first_id >= self._counted_to:
                self.episodes += 1
        return self.episodes != before

    def catching_up(self) -> Iterator[str]:
        """Reads up to where the log ends now, yielding again and again what it is doing.

        Raises:
            UnreachableError: Redis did not answer for a minute.
        """
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        while not self._follower.wait_until_connected(_WAIT_S):
            yield "waiting for Redis"
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"The log was out of reach for {_CONNECT_TIMEOUT_S:.0f} s.",
                    "Redis did not answer the learner.",
                    "Start Redis again; apexmania doctor --role learner says what is wrong.",
                )
        bounds, wanted = self._follower.bounds, self._follower.first_wanted
        if wanted is not None and wanted < bounds.first:
            _log.warning("log_trimmed_past_checkpoint", needed_id=wanted, first_id=bounds.first)
        while self._store.high < bounds.next:
            self.ingest(wait_s=_WAIT_S)
            yield "reading the log"
