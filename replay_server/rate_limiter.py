"""Holds the ratio of samples to inserts, as Reverb's SampleToInsertRatio does.

Source:
    Cassirer et al. (2021), Reverb; reverb/rate_limiters.py and rate_limiter.cc.
"""

import math
from dataclasses import asdict, dataclass

import msgpack
import redis

from common.config import LearnerConfig, ReplayConfig
from common.errors import ConfigError
from common.keys import Keys
from common.segment import MAX_FRAMES
from replay_server.connection import call

MAX_PACKED_BYTES = 4096
"""Longest accepted state; a whole one takes about a hundred."""


@dataclass(frozen=True, slots=True)
class LimiterState:
    """What the limiter allows, and why.

    Attributes:
        inserted: transitions in the log, ever.
        sampled: transitions handed out, ever.
        samples_per_insert: the ratio that is held.
        may_sample: whether the learner may take another batch.
        may_insert: whether actors that may wait should go on.
        max_inserted: ``may_insert`` holds until so many are inserted, if nothing more is sampled;
            0 where that is not known.
    """

    inserted: int
    sampled: int
    samples_per_insert: float
    may_sample: bool
    may_insert: bool
    max_inserted: int = 0


class RateLimiter:
    """Keeps ``inserted * samples_per_insert - sampled`` within a band.

    It blocks the learner. Actors of a simulated game may ask and wait; a real game never does.

    Args:
        samples_per_insert: transitions sampled for each one inserted.
        min_size_to_sample: transitions needed before the first sample.
        error_buffer: half the width of the band, in samples.
        capacity: transitions that the replay can hold.

    Raises:
        ConfigError: the settings would deadlock.
    """

    def __init__(
        self,
        *,
        samples_per_insert: float,
        min_size_to_sample: int,
        error_buffer: float,
        capacity: int,
    ) -> None:
        if min_size_to_sample > capacity:
            raise ConfigError(
                f"The replay would deadlock: sampling starts at {min_size_to_sample} transitions"
                f" and it holds {capacity}.",
                "the limiter waits for a size that retention never allows",
                f"--set replay.capacity={min_size_to_sample}, or lower learner.replay_start_size",
            )
        if error_buffer < max(1.0, samples_per_insert):
            raise ConfigError(
                f"The replay would deadlock: an error buffer of {error_buffer:g} samples with"
                f" {samples_per_insert:g} samples per insert.",
                "one insert would leave the band, and nothing could ever move again",
                f"use an error buffer of at least {max(1.0, samples_per_insert):g}",
            )
        self.samples_per_insert = samples_per_insert
        self.min_size_to_sample = min_size_to_sample
        offset = samples_per_insert * min_size_to_sample
        self._lowest = offset - error_buffer
        self._highest = offset + error_buffer

    def may_sample(self, *, inserted: int, sampled: int, count: int) -> bool:
        """Returns whether ``count`` more transitions may be sampled now.

        A request wider than the whole band waits for the band's upper edge: otherwise the learner
        and waiting actors would each wait for the other.
        """
        if inserted < self.min_size_to_sample:
            return False
        wanted = min(count, self._highest - self._lowest)
        return inserted * self.samples_per_insert - sampled - wanted >= self._lowest

    def may_insert(self, *, inserted: int, sampled: int) -> bool:
        """Returns whether an actor that may wait should insert now."""
        if inserted < self.min_size_to_sample:
            return True
        return inserted * self.samples_per_insert - sampled <= self._highest

    def state(self, *, inserted: int, sampled: int, count: int, needed_id: int = 0) -> LimiterState:
        """Returns all of it for a learner that takes ``count`` transitions at a time.

        Args:
            inserted: transitions in the log, ever.
            sampled: transitions handed out, ever.
            count: transitions that the learner takes at a time.
            needed_id: id up to which actors may insert whatever the ratio says, because the learner
                cannot sample before it has so many: a part of the log was lost. An id and no
                distance: a distance would move on with each insert while the learner is busy.
        """
        most = int((self._highest + sampled) // self.samples_per_insert) + 1
        may_insert = self.may_insert(inserted=inserted, sampled=sampled)
        return LimiterState(
            inserted=inserted,
            sampled=sampled,
            samples_per_insert=self.samples_per_insert,
            may_sample=self.may_sample(inserted=inserted, sampled=sampled, count=count),
            may_insert=may_insert or inserted < needed_id,
            max_inserted=max(most, needed_id),
        )


def make_limiter(replay: ReplayConfig, learner: LearnerConfig) -> RateLimiter:
    """Returns the limiter of a run.

    The band is the tolerance, but never narrower than two batches (one in flight, one training) or
    than what one segment inserts at once.

    Raises:
        ConfigError: the settings would deadlock.
    """
    min_size = learner.first_sample_size
    ratio = replay.samples_per_insert
    return RateLimiter(
        samples_per_insert=ratio,
        min_size_to_sample=min_size,
        error_buffer=max(
            replay.tolerance * ratio * min_size, 2.0 * learner.batch_size, ratio * MAX_FRAMES
        ),
        capacity=replay.capacity,
    )


def publish_limiter(connection: redis.Redis, keys: Keys, state: LimiterState) -> None:
    """Tells actors whether they may go on. It does not expire: without a service nothing is indexed."""
    connection.set(keys.limiter, msgpack.packb(asdict(state)))


def read_limiter(connection: redis.Redis, keys: Keys) -> LimiterState | None:
    """Returns the published state; None before the service started, or where it does not decode."""
    return decode_limiter(call(connection, "GET", keys.limiter))


def decode_limiter(packed: bytes | None) -> LimiterState | None:
    """Returns the state in the key's value, or None where there is none or it makes no sense."""
    if packed is None:
        return None
    if len(packed) > MAX_PACKED_BYTES:
        return None
    try:
        state = LimiterState(**msgpack.unpackb(packed, max_ext_len=0))
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError):
        return None
    counts = (state.inserted, state.sampled, state.max_inserted)
    allowed = (state.may_sample, state.may_insert)
    sound = all(type(count) is int and count >= 0 for count in counts) and all(
        type(flag) is bool for flag in allowed
    )
    return state if sound and math.isfinite(state.samples_per_insert) else None
