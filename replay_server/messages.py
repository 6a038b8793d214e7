"""What the learner and the replay service say to each other, and how it looks on the socket."""

import struct
from dataclasses import dataclass

import msgpack
import numpy as np
import numpy.typing as npt

from common.errors import CorruptError
from replay_server.rate_limiter import LimiterState

Update = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
HEADER = struct.Struct("<I")
"""Every frame on the socket starts with its length in bytes."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_HELLO_BYTES = 1024
MAX_SAMPLED = 1 << 16
"""Most transitions in one reply."""
MAX_UPDATES = 1024
_STATUSES = ("ok", "throttled", "starved")


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Priorities of earlier batches, and what is wanted next.

    Attributes:
        updates: (ids, priorities) of trained batches, oldest first.
        invalid_ids: ids below ``high`` for which the learner got no frames; they are not sampled again.
            A service that restarts may forget the last of them: report an id again when it comes back.
        batch_size: transitions in a batch.
        batches: batches wanted in one reply.
        low: oldest id that the learner's frame store holds.
        high: first id that it does not hold yet; only ids in [low, high) are sampled.
        needed_from: oldest id that the learner's checkpoints need; the log is trimmed below it.
        beta: exponent of the importance weights.
        seed: makes the draw depend on the log and the requests alone; None leaves it to the service.
        learner_steps: how far the learner is.
    """

    updates: list[Update]
    invalid_ids: npt.NDArray[np.int64]
    batch_size: int
    batches: int
    low: int
    high: int
    needed_from: int
    beta: float
    seed: int | None
    learner_steps: int


@dataclass(frozen=True, slots=True)
class SampleReply:
    """Sampled ids; empty arrays where the status is not ok.

    Attributes:
        status: ok; throttled by the limiter; starved of transitions. Wait a little, then ask again.
        ids: int64[batches, batch].
        weights: float32[batches, batch], importance weights over each batch's maximum.
        limiter: what the limiter allows after this reply.
    """

    status: str
    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    limiter: LimiterState


def encode_request(request: SampleRequest) -> bytes:
    """Returns the payload of a request."""
    packed: bytes = msgpack.packb(
        (
            [
                (
                    ids.astype("<i8", copy=False).tobytes(),
                    values.astype("<f4", copy=False).tobytes(),
                )
                for ids, values in request.updates
            ],
            request.invalid_ids.astype("<i8", copy=False).tobytes(),
            request.batch_size,
            request.batches,
            request.low,
            request.high,
            request.needed_from,
            request.beta,
            request.seed,
            request.learner_steps,
        )
    )
    return packed


def decode_request(fields: object) -> SampleRequest:
    """Returns the request in an unpacked payload.

    Raises:
        CorruptError: it is none, or asks for something out of range.
    """
    if not isinstance(fields, list):
        raise _corrupt("it is no list")
    try:
        updates, invalid, batch_size, batches, low, high, needed, beta, seed, steps = fields
        request = SampleRequest(
            updates=[
                (np.frombuffer(ids, "<i8"), np.frombuffer(values, "<f4")) for ids, values in updates
            ],
            invalid_ids=np.frombuffer(invalid, "<i8"),
            batch_size=batch_size,
            batches=batches,
            low=low,
            high=high,
            needed_from=needed,
            beta=float(beta),
            seed=seed,
            learner_steps=steps,
        )
    except (ValueError, TypeError) as error:
        raise _corrupt(f"it does not decode ({type(error).__name__})") from error
    _check(request)
    return request


def encode_reply(reply: SampleReply) -> tuple[object, ...]:
    """Returns the reply as plain values for msgpack."""
    limiter = reply.limiter
    return (
        _STATUSES.index(reply.status),
        reply.ids.shape,
        reply.ids.tobytes(),
        reply.weights.tobytes(),
        limiter.inserted,
        limiter.sampled,
        limiter.samples_per_insert,
        limiter.may_sample,
        limiter.may_insert,
        limiter.max_inserted,
    )


def decode_reply(fields: object) -> SampleReply:
    """Returns the reply in an unpacked payload.

    Raises:
        CorruptError: it is none.
    """
    if not isinstance(fields, list):
        raise _corrupt("it is no list")
    try:
        status, shape, ids, weights, *limiter = fields
        return SampleReply(
            status=_STATUSES[status],
            ids=np.frombuffer(ids, "<i8").reshape(shape),
            weights=np.frombuffer(weights, "<f4").reshape(shape),
            limiter=LimiterState(*limiter),
        )
    except (ValueError, TypeError, IndexError) as error:
        raise _corrupt(f"it does not decode ({type(error).__name__})") from error


def unpack(payload: bytes | bytearray) -> object:
    """Returns the plain values of a payload.

    Raises:
        CorruptError: the payload is not msgpack within our bounds.
    """
    try:
        return msgpack.unpackb(
            payload, max_array_len=MAX_UPDATES, max_map_len=MAX_UPDATES, max_ext_len=0
        )
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise _corrupt(f"it is not msgpack ({type(error).__name__})") from error


def _check(request: SampleRequest) -> None:
    counts = (request.batch_size, request.batches, request.learner_steps)
    bounds = (request.low, request.high, request.needed_from)
    if not all(type(value) is int for value in counts + bounds):
        raise _corrupt("a count is no integer")
    if not (request.seed is None or (type(request.seed) is int and request.seed >= 0)):
        raise _corrupt("the seed is no natural number")
    if min(counts) < 0 or not 0 < request.batch_size * request.batches <= MAX_SAMPLED:
        raise _corrupt(f"it asks for {request.batches} batches of {request.batch_size}")
    if not 0 <= request.low <= request.high < 1 << 62 or request.needed_from < 0:
        raise _corrupt(f"its watermark is [{request.low}, {request.high})")
    if not 0.0 <= request.beta <= 1.0:
        raise _corrupt(f"its beta is {request.beta}")
    if any(len(ids) != len(values) for ids, values in request.updates):
        raise _corrupt("an update has another number of ids than of priorities")


def _corrupt(why: str) -> CorruptError:
    return CorruptError(
        "A message between learner and replay service failed its check.",
        why,
        "run the same version on both sides",
    )
