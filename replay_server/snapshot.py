"""The state of the replay service as bytes: what the log alone does not tell."""

import struct
import zlib
from dataclasses import dataclass

import msgpack
import numpy as np
import numpy.typing as npt
import redis

from common.errors import CorruptError
from common.keys import Keys

FORMAT = 1
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class ReplayState:
    """Everything that sampling depends on besides the log.

    Attributes:
        low: oldest id in the window.
        values: float32 leaf of each id in the window.
        max_priority: largest priority seen.
        sampled: transitions handed out, ever.
        next_id: id of the next transition of the log.
        learner_steps: as of the last request.
        generator: state of the service's own random numbers.
        alpha: exponent that the values were made with; 0 when sampling uniformly.
        needed_from: oldest id that the learner's checkpoints need, as of its last request.
        episodes: number of the newest episode.
    """

    low: int
    values: npt.NDArray[np.float32]
    max_priority: float
    sampled: int
    next_id: int
    learner_steps: int
    generator: dict[str, object]
    alpha: float
    needed_from: int = 0
    episodes: int = 0


def encode_state(state: ReplayState) -> bytes:
    """Returns the state as bytes."""
    fields = {name: getattr(state, name) for name in ReplayState.__dataclass_fields__}
    fields["values"] = state.values.astype("<f4").tobytes()
    fields["generator"] = _words(state.generator)
    packed: bytes = msgpack.packb({"format": FORMAT, **fields})
    return _CRC.pack(zlib.crc32(packed)) + packed


def decode_state(blob: bytes) -> ReplayState:
    """Returns the state that ``encode_state`` wrote.

    Raises:
        CorruptError: the bytes are damaged or of another version.
    """
    try:
        packed = blob[_CRC.size :]
        intact = _CRC.unpack_from(blob)[0] == zlib.crc32(packed)
        fields = msgpack.unpackb(packed, max_ext_len=0) if intact else {}
        if fields.pop("format", None) != FORMAT:
            raise _corrupt("its crc32 or format is wrong")
        fields["values"] = np.frombuffer(fields["values"], "<f4")
        fields["generator"] = _numbers(fields["generator"])
        state = ReplayState(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise _corrupt(f"it does not decode ({type(error).__name__})") from error
    if not (np.isfinite(state.values).all() and (state.values >= 0.0).all()):
        raise _corrupt("a priority is negative or not finite")
    return state


def seed_snapshot(connection: redis.Redis, keys: Keys, blob: bytes) -> bool:
    """Gives a Redis that knows nothing of a run the state from its checkpoint.

    Done before the replay service starts, it lets ids, episodes and the env-step counter go on where
    they were: the launcher does it whenever a run is resumed. A Redis that has a snapshot of its own
    keeps it.

    Returns:
        Whether it was needed.

    Raises:
        CorruptError: the state is damaged.
    """
    decode_state(blob)
    return bool(connection.set(keys.priorities, blob, nx=True))


def _words(value: object) -> object:
    # PCG64 counts in 128 bits, msgpack in 64.
    if isinstance(value, dict):
        return {name: _words(part) for name, part in value.items()}
    return str(value) if isinstance(value, int) else value


def _numbers(value: object) -> object:
    if isinstance(value, dict):
        return {name: _numbers(part) for name, part in value.items()}
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _corrupt(why: str) -> CorruptError:
    return CorruptError(
        "A snapshot of the replay's priorities is damaged.",
        why,
        "nothing to do: priorities start at the maximum again, no transition is lost",
    )


def ahead_of_log(low: int, next_id: int) -> CorruptError:
    """Returns the error of a state that names ids which the log never gave out."""
    return CorruptError(
        "The replay's state does not belong to this log.",
        f"its oldest transition is {low} and the log ends at {next_id}: another Redis, or one that "
        "began anew while actors were writing",
        "stop the run and resume it with the Redis that it had, or with an empty one",
    )
