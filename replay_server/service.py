"""The replay service without its socket: follows the log, keeps priorities, answers samples.

Three kinds of thread share it: one ingests and alone writes the index, one keeps house, and others
sample. The lock guards memory alone and is never held while Redis is spoken to.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import redis
import structlog

from common.config import LearnerConfig, ReplayConfig
from common.contract import Contract
from common.errors import CorruptError
from common.keys import Keys
from replay_server.admission import admit
from replay_server.connection import call
from replay_server.episodes import Episode, make_episode
from replay_server.index import IndexEntry
from replay_server.index_store import IndexStore
from replay_server.messages import SampleReply, SampleRequest
from replay_server.priorities import Priorities, importance_weights
from replay_server.priority_shape import priority_shape
from replay_server.quota import Quota
from replay_server.rate_limiter import LimiterState, make_limiter, publish_limiter
from replay_server.retention import trim, trim_floor
from replay_server.segment_follower import NewSegment, SegmentFollower
from replay_server.snapshot import ReplayState, ahead_of_log, decode_state, encode_state
from replay_server.upkeep import Upkeep

UPKEEP_PERIOD_S = 1.0
SAMPLED_AHEAD = 2
"""Batches that a learner asks for before it has trained on the ones before."""
REMEMBERED_EPISODES = 4096
"""Newest episodes kept in memory, to be written again where a power cut took them."""
_NO_IDS = np.zeros((0, 0), np.int64)
_NO_WEIGHTS = np.zeros((0, 0), np.float32)
_log = structlog.get_logger()


class ReplayService:
    """Prioritized replay over the log of one run.

    Args:
        connection: Redis, used by the threads that ingest and keep house.
        keys: keyspace of the run.
        contract: what segments must have been written under.
        replay: capacity, exponents, limiter, snapshots.
        learner: batch size and start size, for the limiter.
        seed: of the draws of requests without a seed.

    Raises:
        ConfigError: the limiter's settings would deadlock.
    """

    def __init__(
        self,
        connection: redis.Redis,
        keys: Keys,
        *,
        contract: Contract,
        replay: ReplayConfig,
        learner: LearnerConfig,
        seed: int = 0,
    ) -> None:
        self._redis = connection
        self._keys = keys
        self._replay = replay
        self._batch_size = learner.batch_size
        self._limiter = make_limiter(replay, learner)
        self._alpha = replay.alpha if replay.prioritized else 0.0
        self._priorities = Priorities(replay.capacity, alpha=self._alpha)
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._lock = threading.Lock()
        self._store = IndexStore(connection, keys)
        self._store.claim()
        self._index = self._store.load()
        quota = Quota(connection, keys, contract, retained=self._index.retained_by_actor)
        self._follower = SegmentFollower(connection, keys, contract, quota, replay.capacity)
        self._last_episode = self._store.last_episode()
        self._new_episodes: deque[Episode] = deque(maxlen=REMEMBERED_EPISODES)
        self._unwritten = False
        self._never_written = 0
        self._sampled = 0
        self._learner_steps = 0
        self._restored: tuple[int, int] | None = None
        self._needed_id = 0
        self._learner_low: int | None = None
        self._needed_from: int | None = None
        self._published: LimiterState | None = None
        self._upkeep = Upkeep()
        self._counts = dict.fromkeys(_COUNTERS, 0)
        self._load_snapshot()

    def ingest(self, block_ms: int = 0) -> int:
        """Reads the log once and gives ids to what is new.

        Ids exist in memory before the index in Redis tells anyone of them, so that a learner can never
        name an id that the service does not know.

        Args:
            block_ms: longest wait for something new, in milliseconds.

        Returns:
            Segments that entered.

        Raises:
            redis.RedisError: Redis is away; nothing is lost, call again.
            MismatchError: another replay service took over.
        """
        if self._unwritten:
            block_ms = 0
        segments = self._follower.poll(self._index.positions, block_ms=block_ms)
        with self._lock:
            entered = sum(self._enter(segment) for segment in segments)
            self._never_written += entered
        if entered or self._unwritten:
            self._write_index()
        return entered

    def sample(self, request: SampleRequest) -> SampleReply:
        """Takes priorities in, and hands out batches where the limiter and the watermark allow it."""
        with self._lock:
            self._take_updates(request)
            self._advance(request)
            # After the window moved: it may be this request that lets the invalid ids in.
            self._priorities.invalidate(request.invalid_ids)
            self._counts["invalid_transitions"] += request.invalid_ids.size
            count = request.batch_size * request.batches
            status = self._status(request, count)
            if status != "ok":
                self._counts[status] += 1
                state = self._limiter_state()
                return SampleReply(status, _NO_IDS, _NO_WEIGHTS, state)
            generator = self._generator
            if request.seed is not None:
                generator = np.random.Generator(np.random.PCG64(request.seed))
            drawn = [
                self._priorities.sample(generator.random(request.batch_size))
                for _ in range(request.batches)
            ]
            self._sampled += count
            state = self._limiter_state()
        ids = np.stack([batch for batch, _ in drawn])
        probabilities = np.stack([batch for _, batch in drawn])
        weights = importance_weights(probabilities, request.beta)
        return SampleReply("ok", ids, weights, state)

    def state(self) -> bytes:
        """Returns what a learner's checkpoint keeps of the replay."""
        with self._lock:
            state = ReplayState(
                low=self._priorities.low,
                values=self._priorities.window_values(),
                max_priority=self._priorities.max_priority,
                sampled=self._sampled,
                next_id=self._index.next_id,
                learner_steps=self._learner_steps,
                generator=dict(self._generator.bit_generator.state),
                alpha=self._alpha,
                needed_from=self._needed_from or 0,
                episodes=self._last_episode,
            )
        return encode_state(state)

    def restore(self, blob: bytes) -> None:
        """Becomes what ``state`` described: the same requests then give the same batches.

        Raises:
            CorruptError: the state is damaged, or of a later time than the log; nothing has changed.
        """
        state = decode_state(blob)
        if state.alpha != self._alpha or len(state.values) > self._replay.capacity:
            _log.warning("priorities_start_anew", reason="alpha or capacity changed")
            state = replace(state, values=np.zeros(0, np.float32))
        with self._lock:
            if len(self._index) == 0:
                self._index.next_id = max(self._index.next_id, state.next_id)
                self._last_episode = max(self._last_episode, state.episodes)
            elif self._index.next_id < state.low:
                raise ahead_of_log(state.low, self._index.next_id)
            known = max(0, self._index.next_id - state.low)
            self._priorities.restore(
                low=state.low,
                values=state.values[:known],
                max_priority=state.max_priority,
            )
            self._sampled = state.sampled
            self._learner_steps = state.learner_steps
            self._restored = state.sampled, state.learner_steps
            if self._learner_low is None:
                # Until the learner tells: a full Redis may have to be trimmed before it can.
                self._learner_low, self._needed_from = state.low, state.needed_from
            self._generator.bit_generator.state = state.generator

    def tick(self) -> None:
        """Does what is due: trims the log, checks the index, publishes the limiter, snapshots.

        Call it every few milliseconds: actors drive only so far as the published limiter allows.
        Trimming comes first and no task waits for another: a full Redis refuses all but the trimming,
        which alone makes room again.

        Raises:
            redis.RedisError: Redis is away or full; all that it allowed is done, call again.
            MismatchError: another replay service took over.
        """
        due: list[Callable[[], None]] = []
        if self._upkeep.is_due("upkeep", UPKEEP_PERIOD_S):
            due += [self._trim_as_owner, self._compare_index]
        due.append(self._publish_limiter)
        if self._upkeep.is_due("snapshot", self._replay.snapshot_period_s):
            due.append(self.save_snapshot)
        self._upkeep.attempt(due)

    def save_snapshot(self) -> None:
        """Writes the state to Redis, where a restarted service finds it.

        Raises:
            redis.RedisError: Redis is away.
        """
        self._redis.set(self._keys.priorities, self.state())

    def stats(self) -> dict[str, object]:
        """Returns counters and the shape of the replay, for people."""
        with self._lock:
            values = self._priorities.window_values()
            figures: dict[str, object] = {
                **self._counts,
                "next_id": self._index.next_id,
                "first_id": self._index.first_id,
                "low": self._priorities.low,
                "high": self._priorities.high,
                "segments": len(self._index),
                "actors": len(self._index.positions),
                "banned": len(self._follower.banned),
                "episodes": self._last_episode,
                "learner_steps": self._learner_steps,
                "max_priority": self._priorities.max_priority,
                "limiter": asdict(self._limiter_state()),
            }
        return {**figures, **priority_shape(values)}

    def _load_snapshot(self) -> None:
        blob: bytes | None = call(self._redis, "GET", self._keys.priorities)
        if blob is None:
            return
        try:
            self.restore(blob)
        except CorruptError as error:
            _log.warning("snapshot_ignored", reason=error.why)

    def _enter(self, segment: NewSegment) -> int:
        self._counts["gaps"] += segment.gap
        meta = segment.meta
        if meta is None:
            self._index.positions[segment.actor] = segment.entry_id
            self._counts["quarantined"] += 1
            return 0
        self._index.append(
            actor=segment.actor,
            entry_id=segment.entry_id,
            count=meta.transitions,
            priorities=meta.priorities,
        )
        self._counts["segments_inserted"] += 1
        self._counts["transitions_inserted"] += meta.transitions
        if meta.end is not None:
            self._last_episode += 1
            episode = make_episode(meta, n=self._last_episode, env_steps=self._index.next_id)
            self._new_episodes.append(episode)
        return 1

    def _entries_since(self, low: int) -> list[IndexEntry]:
        with self._lock:
            return [entry for entry in self._index.since(low) if entry.first_id >= low]

    def _take_updates(self, request: SampleRequest) -> None:
        if self._alpha > 0.0:
            for ids, priorities in request.updates:
                self._counts["updates_dropped"] += self._priorities.update(ids, priorities)

    def _advance(self, request: SampleRequest) -> None:
        """Moves the window to the learner's watermark; new ids enter in the order of the log."""
        priorities = self._priorities
        self._learner_steps = request.learner_steps
        self._count_forgotten()
        self._learner_low, self._needed_from = request.low, request.needed_from
        admit(priorities, self._index, high=min(request.high, self._index.next_id))
        priorities.evict_below(min(request.low, priorities.high))

    def _count_forgotten(self) -> None:
        """Counts what a service before this one handed out after its last snapshot.

        Told by the learner steps since then, less the batches that were sampled ahead and are counted
        already. Steps since the start would not do: the run may have had another batch size, or a
        Redis that knew less.
        """
        if self._restored is None:
            return
        sampled, learner_steps = self._restored
        trained = self._learner_steps - learner_steps - SAMPLED_AHEAD
        self._sampled = max(self._sampled, sampled + trained * self._batch_size)

    def _status(self, request: SampleRequest, count: int) -> str:
        priorities = self._priorities
        held = min(request.high, priorities.high) - priorities.low
        behind = request.high < priorities.high
        # The start size holds up the first sample alone: inserts that were lost since come back at the
        # rate of the samples, so waiting for them all would be waiting for ever.
        needed = request.batch_size if self._sampled else self._limiter.min_size_to_sample
        usable = priorities.total > 0.0 or request.high < self._index.next_id
        # What it holds and what it may yet read: ids of a log that was lost are neither.
        to_read = self._index.next_id - max(self._index.first_id, request.high)
        readable = max(0, held) + max(0, to_read) if usable else 0
        self._needed_id = self._index.next_id + max(0, needed - readable)
        if behind or held < needed or priorities.total <= 0.0:
            return "starved"
        allowed = self._limiter.may_sample(
            inserted=self._index.next_id, sampled=self._sampled, count=count
        )
        return "ok" if allowed else "throttled"

    def _limiter_state(self) -> LimiterState:
        return self._limiter.state(
            inserted=self._index.next_id,
            sampled=self._sampled,
            count=self._batch_size,
            needed_id=self._needed_id,
        )

    def _publish_limiter(self) -> None:
        with self._lock:
            state = self._limiter_state()
        if state != self._published:
            publish_limiter(self._redis, self._keys, state)
            self._published = state

    def _compare_index(self) -> None:
        """Has the thread that ingests write again what a power cut took from the index."""
        if self._store.stored_next_id() < self._index.next_id:
            self._unwritten = True

    def _write_index(self) -> None:
        """Called by the thread that ingests alone, so that nothing it reads changes meanwhile."""
        self._unwritten = False
        try:
            written = self._store.append(self._entries_since, self._new_episodes)
        except redis.RedisError:
            self._unwritten = True
            raise
        self._counts["reindexed_segments"] += max(0, written - self._never_written)
        self._never_written = 0

    def _trim_as_owner(self) -> None:
        self._store.check_owner()
        with self._lock:
            next_id = self._index.next_id
            low, needed_from = self._learner_low, self._needed_from
            floor = trim_floor(
                next_id=next_id,
                capacity=self._replay.capacity,
                low=0 if low is None else low,
                needed_from=0 if needed_from is None else needed_from,
            )
            gone = list(self._index.wholly_below(floor))
        trim(self._redis, self._keys, gone)
        with self._lock:
            self._index.drop_first(len(gone))


_COUNTERS = (
    "segments_inserted",
    "transitions_inserted",
    "gaps",
    "quarantined",
    "throttled",
    "starved",
    "updates_dropped",
    "invalid_transitions",
    "reindexed_segments",
)
