"""Keeps sampling requests in flight, so that a batch is there when the last learner step is done.

Each request carries the priorities of the batches finished since the one before it, and the window of
ids that the frame store holds. Requests are numbered by the batch they ask for and seeded by that
number, so a request that is repeated, because the service was away or refused, draws as the first
would have.
"""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgpack
import numpy as np
import numpy.typing as npt
import structlog

from common.config import Config
from common.errors import ApexManiaError, CorruptError, UnreachableError
from common.schedules import beta
from replay_server.client import ReplayClient, SampleReply, SampleRequest
from replay_server.messages import Update
from replay_server.rate_limiter import LimiterState

_log = structlog.get_logger()

IN_FLIGHT = 2
_RECEIVE_TIMEOUT_S = 2.0
_REFUSED_PAUSE_S = 0.005
_AWAY_PAUSE_S = 0.25
_MAX_ITEMS = 1 << 24

Ids = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """What the learner tells the service about itself with each request.

    Attributes:
        low: oldest id in the frame store.
        high: id after its newest.
        needed_from: oldest id that a kept checkpoint refers to.
        learner_steps: learner steps so far; drives beta.
    """

    low: int
    high: int
    needed_from: int
    learner_steps: int


@dataclass(frozen=True, slots=True)
class SampledBatch:
    """Ids and importance weights of one batch.

    Attributes:
        number: position in the sequence of batches, from 0.
        ids: int64 [batch].
        weights: float32 [batch].
    """

    number: int
    ids: Ids
    weights: Reals


def request_seed(seed: int, number: int) -> int:
    """Returns the seed of one request, a 63-bit function of the run's seed and the batch number."""
    words = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


class Sampler:
    """Hands out batches of ids and returns their priorities to the replay service.

    Args:
        client: connection to the replay service.
        config: batch size, beta and seed.
    """

    def __init__(self, client: ReplayClient, config: Config) -> None:
        self._client = client
        self._config = config
        self._next_number = 0
        self._wanted: deque[int] = deque()
        self._outstanding: deque[tuple[int, list[Update]]] = deque()
        self._ready: deque[SampledBatch] = deque()
        self._updates: list[Update] = []
        self._invalid: set[int] = set()
        self._invalid_told: set[int] = set()
        self._pause_until = 0.0
        self.status = "ok"
        self.limiter: LimiterState | None = None
        self.dropped_batches = 0

    def finish(self, ids: Ids, priorities: Reals) -> None:
        """Takes the new priorities of a batch; they travel with the next request.

        Raises:
            ApexManiaError: a priority is not finite, which means that the learner has diverged.
        """
        if not np.isfinite(priorities).all():
            raise ApexManiaError(
                "A learner step returned priorities that are not finite.",
                "The loss has diverged: the network's values overflowed or its input held NaN.",
                "Resume from an earlier checkpoint with a lower learner.learning_rate.initial, and "
                "compare the configuration with the proven one: apexmania config diff proven RUN",
            )
        self._updates.append((ids, priorities))

    def mark_invalid(self, ids: Iterable[int]) -> None:
        """Tells the service, with the next request, never to sample these ids."""
        self._invalid.update(ids)

    def take(self, window: Window) -> SampledBatch | None:
        """Returns the next batch, or None where the caller should wait a little and ask again.

        ``status`` then says why: throttled or starved by the limiter, or unreachable.
        """
        if time.monotonic() < self._pause_until:
            return None
        try:
            self._fill(window)
            if not self._ready:
                self._receive()
        except UnreachableError as error:
            self._lose_outstanding(error)
        if not self._ready:
            return None
        batch = self._ready.popleft()
        if not self._is_held(batch, window):
            self.dropped_batches += 1
            self._wanted.append(batch.number)
            return None
        self.status = "ok"
        return batch

    def _is_held(self, batch: SampledBatch, window: Window) -> bool:
        """Returns whether the frame store has all of a batch, which may be older than the window.

        A restored batch was drawn before the log was read again, and its segment may be lost by now.
        """
        if batch.ids.min() < window.low or batch.ids.max() >= window.high:
            return False
        return self._invalid.isdisjoint(batch.ids.tolist())

    def drain(self) -> None:
        """Receives the replies that are still under way, as a checkpoint needs them."""
        try:
            while self._outstanding:
                self._receive()
        except UnreachableError as error:
            self._lose_outstanding(error)

    def _fill(self, window: Window) -> None:
        """Sends requests until enough are in flight."""
        while len(self._ready) + len(self._outstanding) < IN_FLIGHT:
            if self._wanted:
                number = self._wanted[0]
            else:
                number = self._next_number
                self._next_number += 1
                self._wanted.append(number)
            self._client.send(self._request(number, window))
            self._wanted.popleft()
            self._outstanding.append((number, self._updates))
            self._updates = []
            self._invalid_told = set(self._invalid)

    def _request(self, number: int, window: Window) -> SampleRequest:
        self._invalid = {id_ for id_ in self._invalid if id_ >= window.low}
        untold = sorted(self._invalid - self._invalid_told)
        return SampleRequest(
            updates=self._updates,
            invalid_ids=np.array(untold, np.int64),
            batch_size=self._config.learner.batch_size,
            batches=1,
            low=window.low,
            high=window.high,
            needed_from=window.needed_from,
            beta=beta(self._config.replay, learner_steps=window.learner_steps),
            seed=request_seed(self._config.seed, number),
            learner_steps=window.learner_steps,
        )

    def _receive(self) -> None:
        """Receives the oldest reply; one that was refused is asked for again after a pause."""
        reply: SampleReply = self._client.receive(_RECEIVE_TIMEOUT_S)
        number, _ = self._outstanding.popleft()
        self.limiter = reply.limiter
        if reply.status == "ok":
            self._ready.append(SampledBatch(number, reply.ids[0], reply.weights[0]))
            return
        self.status = reply.status
        self._wanted.append(number)
        self._pause_until = time.monotonic() + _REFUSED_PAUSE_S

    def _lose_outstanding(self, error: UnreachableError) -> None:
        """Takes back what the lost requests carried; they are sent again when the service is back."""
        if self.status != "unreachable":
            _log.warning("replay_service_unreachable", what=error.what, why=error.why)
        self.status = "unreachable"
        self._updates = [u for _, updates in self._outstanding for u in updates] + self._updates
        self._wanted.extendleft(number for number, _ in reversed(self._outstanding))
        self._outstanding.clear()
        self._invalid_told = set()
        self._pause_until = time.monotonic() + _AWAY_PAUSE_S

    def state(self) -> bytes:
        """Returns what a later ``restore`` needs to go on with the same batches; call ``drain`` first."""
        assert not self._outstanding
        packed: bytes = msgpack.packb(
            {
                "next_number": self._next_number,
                "wanted": list(self._wanted),
                "ready": [[b.number, b.ids.tobytes(), b.weights.tobytes()] for b in self._ready],
                "updates": [[i.tobytes(), p.tobytes()] for i, p in self._updates],
                "invalid": sorted(self._invalid),
            }
        )
        return packed

    def restore(self, state: bytes) -> None:
        """Goes back to where ``state`` was taken.

        Raises:
            CorruptError: the bytes do not decode.
        """
        try:
            fields = msgpack.unpackb(state, max_array_len=_MAX_ITEMS)
            ready = [
                SampledBatch(int(number), _ids(ids), _reals(weights))
                for number, ids, weights in fields["ready"]
            ]
            updates = [(_ids(ids), _reals(priorities)) for ids, priorities in fields["updates"]]
            wanted, invalid = list(fields["wanted"]), set(fields["invalid"])
            next_number = int(fields["next_number"])
        except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
            raise CorruptError(
                "The sampler's part of a checkpoint was refused.",
                f"It does not decode ({error}).",
                "Resume from the checkpoint before it.",
            ) from error
        self._next_number = next_number
        self._wanted, self._ready = deque(wanted), deque(ready)
        self._updates = updates
        self._invalid, self._invalid_told = invalid, set()
        self._outstanding.clear()


def _ids(raw: bytes) -> Ids:
    return np.frombuffer(raw, np.dtype("<i8")).astype(np.int64)


def _reals(raw: bytes) -> Reals:
    return np.frombuffer(raw, np.dtype("<f4")).astype(np.float32)
