"""Follows the log in the background and hands its segments to the learner's thread.

One thread reads and checks segments ahead into a bounded queue; the learner's thread moves them into
the frame store between two learner steps, so the store needs no lock.
"""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from replay_server.log_reader import Indexed, LogReader

from common.game_spec import GameSpec
from common.keys import Keys
from learner.frame_store import FrameStore
from replay_server.connection import OUTAGES, connect

_log = structlog.get_logger()

_AHEAD_SEGMENTS = 64
_READ_SEGMENTS = 16
_BLOCK_MS = 200
_AWAY_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class LogBounds:
    """What the log held when the follower connected.

    Attributes:
        first: oldest id that can still be read.
        next: id after the newest.
    """

    first: int
    next: int


class LogFollower:
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
        invalid_ids: ids that must never be sampled, since their segment failed its check.
        episode_ended: whether an episode ended with it.
    """

    invalid_ids: range
    episode_ended: bool


def ingest(store: FrameStore, indexed: Indexed) -> Ingested:
    """Moves one segment into the frame store.

    Where the log was trimmed past the store's end, the store starts anew behind the gap: ids are dense
    and what is gone cannot be sampled.
    """
    if indexed.first_id + indexed.count <= store.high:
        return Ingested(range(0), episode_ended=False)
    if indexed.first_id != store.high:
        if store.size or store.high:
            _log.warning("log_gap", expected_id=store.high, found_id=indexed.first_id)
        store.start_at(indexed.first_id)
    if indexed.segment is None:
        _log.warning("segment_skipped", first_id=indexed.first_id, problem=indexed.problem)
        store.skip(indexed.first_id, indexed.count)
        ids = range(indexed.first_id, indexed.first_id + indexed.count)
        return Ingested(ids, episode_ended=False)
    store.insert(indexed.first_id, indexed.segment)
    return Ingested(range(0), episode_ended=indexed.segment.meta.ended)
