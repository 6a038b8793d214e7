"""How a segment looks in the log, and the only code that trusts none of it.

Each segment is two stream entries with one id. ``meta`` is a crc32 and a msgpack map whose arrays are raw
little-endian bytes; ``frames`` is nothing but the pixels, so that a consumer of metadata never
touches them. Decoding is bounded before it allocates, and refuses whatever the rest of the system would
have to defend against: lengths that disagree, values that are not finite, numbers out of range.
"""

import math
import re
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TypeVar

import msgpack
import numpy as np
import numpy.typing as npt

from common.errors import CorruptError
from common.game_spec import GameSpec
from common.segment import MAX_FRAMES, SCHEMA_VERSION, EpisodeEnd, Segment, SegmentMeta

MAX_META_BYTES = 256 * 1024
"""Longest accepted metadata; a segment of the proven run needs about 2 KB."""
MAX_FRAME_FIELD_BYTES = 4 * 1024 * 1024
"""Longest accepted frames field."""
MAX_VALUE_BYTES = 64 * 1024 * 1024
"""Longest value of one key: weights, or a snapshot of the priorities."""
MAX_ACTIONS = 256
MAX_COUNTER = 2**62
MAX_MAGNITUDE = 1e12
MAX_REWARD = 1e6
MAX_FEATURE = 1e9
"""What is larger is finite in a segment, and no longer in the learner's sums of squares."""
_CRC = struct.Struct("<I")
_ACTOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COMPUTED_FIELDS = ("schema", "steps", "n_features", "frames_crc")
_FIELDS = frozenset((*SegmentMeta.__dataclass_fields__, *_COMPUTED_FIELDS))
_END_FIELDS = frozenset(EpisodeEnd.__dataclass_fields__)
_Scalar = TypeVar("_Scalar", bound=np.generic)
_U1 = np.dtype(np.uint8)
_F4: np.dtype[np.float32] = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """The two fields of a segment and what a sender needs to know about them.

    Attributes:
        entry_id: explicit stream id, ``<epoch>-<seq>``.
        meta: crc32 and msgpack.
        frames: raw pixels.
        transitions: transitions that the segment adds to the replay.
    """

    entry_id: str
    meta: bytes
    frames: bytes
    transitions: int


def valid_actor(name: str) -> bool:
    """Returns whether a name may be part of a stream's key."""
    return _ACTOR.fullmatch(name) is not None


def encode_segment(segment: Segment) -> EncodedSegment:
    """Returns the bytes of a segment."""
    meta = segment.meta
    frames = np.ascontiguousarray(segment.frames, dtype=np.uint8).tobytes()
    end = None
    if meta.end is not None:
        end = {name: getattr(meta.end, name) for name in _END_FIELDS}
        end["action_counts"] = list(meta.end.action_counts)
    packed = msgpack.packb(
        {
            "schema": SCHEMA_VERSION,
            "actor": meta.actor,
            "epoch": meta.epoch,
            "seq": meta.seq,
            "episode": meta.episode,
            "first_step": meta.first_step,
            "param_version": meta.param_version,
            "epsilon": float(meta.epsilon),
            "n_step": meta.n_step,
            "contract": meta.contract,
            "terminated": bool(meta.terminated),
            "truncated": bool(meta.truncated),
            "steps": meta.steps,
            "n_features": int(meta.features.shape[1]),
            "actions": _raw(meta.actions, _U1),
            "rewards": _raw(meta.rewards, _F4),
            "features": _raw(meta.features, _F4),
            "priorities": None if meta.priorities is None else _raw(meta.priorities, _F4),
            "end": end,
            "frames_crc": zlib.crc32(frames),
        }
    )
    return EncodedSegment(meta.entry_id, _sealed(packed), frames, meta.transitions)


def renumber(meta: bytes, *, epoch: int, seq: int) -> bytes:
    """Returns the same metadata under another entry id; a sender that changed its epoch needs it.

    Raises:
        CorruptError: the metadata does not decode.
    """
    fields = _unpack(meta)
    return _sealed(msgpack.packb({**fields, "epoch": epoch, "seq": seq}))


def decode_meta(meta: bytes) -> SegmentMeta:
    """Returns everything of a segment but its frames.

    Raises:
        CorruptError: the bytes are not a segment's metadata, with what is wrong with them.
    """
    return _decode(meta)[0]


def check_spec(meta: SegmentMeta, spec: GameSpec) -> None:
    """Refuses metadata that does not fit the game.

    Raises:
        CorruptError: too many steps for the history, another feature count, an unknown action.
    """
    _require(meta.steps + spec.history <= MAX_FRAMES, f"{meta.steps} steps are too many")
    features = meta.features.shape[1]
    _require(features == spec.n_features, f"{features} features instead of {spec.n_features}")
    highest = int(meta.actions.max())
    _require(highest < spec.n_actions, f"action {highest} of a game with {spec.n_actions}")


def decode_segment(meta: bytes, frames: bytes, spec: GameSpec) -> Segment:
    """Returns a whole segment whose frames view the given bytes (read-only).

    Raises:
        CorruptError: the bytes are not a segment of this game, with what is wrong with them.
    """
    _require(len(frames) <= MAX_FRAME_FIELD_BYTES, f"{len(frames)} bytes of frames")
    decoded, frames_crc = _decode(meta)
    check_spec(decoded, spec)
    count = decoded.steps + spec.history
    _require(
        len(frames) == count * spec.frame_bytes,
        f"{len(frames)} bytes of frames instead of {count * spec.frame_bytes}",
    )
    _require(zlib.crc32(frames) == frames_crc, "the crc32 of the frames is wrong")
    shape = (count, spec.frame_height, spec.frame_width)
    return Segment(decoded, np.frombuffer(frames, np.uint8).reshape(shape))


def _raw(values: npt.NDArray[_Scalar], dtype: np.dtype[_Scalar]) -> bytes:
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def _sealed(packed: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(packed)) + packed


def _corrupt(why: str) -> CorruptError:
    return CorruptError(
        "A segment failed its check.",
        why,
        "it was set aside; if more follow, restart its actor and compare both versions",
    )


def _require(holds: bool, why: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise _corrupt(why)


def _unpack(meta: bytes) -> dict[str, object]:
    _require(_CRC.size < len(meta) <= MAX_META_BYTES, f"{len(meta)} bytes of metadata")
    packed = memoryview(meta)[_CRC.size :]
    _require(zlib.crc32(packed) == _CRC.unpack_from(meta)[0], "the crc32 of the metadata is wrong")
    try:
        fields = msgpack.unpackb(
            packed,
            max_str_len=256,
            max_bin_len=MAX_META_BYTES,
            max_array_len=MAX_ACTIONS,
            max_map_len=len(_FIELDS),
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        why = f"the metadata is not msgpack ({type(error).__name__})"
        raise _corrupt(why) from error
    _require(isinstance(fields, dict) and fields.keys() == _FIELDS, "other fields than expected")
    assert isinstance(fields, dict)
    return fields


def _decode(meta: bytes) -> tuple[SegmentMeta, int]:
    fields = _unpack(meta)
    schema = fields["schema"]
    known = type(schema) is int and schema == SCHEMA_VERSION
    _require(known, f"schema version {str(schema)[:40]!r} instead of {SCHEMA_VERSION}")
    steps = _integer(fields, "steps", low=1, high=MAX_FRAMES - 1)
    width = _integer(fields, "n_features", low=0, high=MAX_META_BYTES // 4)
    decoded = SegmentMeta(
        actor=_text(fields, "actor"),
        epoch=_integer(fields, "epoch", low=0),
        seq=_integer(fields, "seq", low=1),
        episode=_integer(fields, "episode", low=0),
        first_step=_integer(fields, "first_step", low=0),
        param_version=_integer(fields, "param_version", low=-1),
        epsilon=_number(fields, "epsilon", low=0.0, high=1.0),
        n_step=_integer(fields, "n_step", low=1, high=MAX_FRAMES),
        contract=_text(fields, "contract"),
        terminated=_flag(fields, "terminated"),
        truncated=_flag(fields, "truncated"),
        actions=_array(fields, "actions", _U1, steps),
        rewards=_array(fields, "rewards", _F4, steps, most=MAX_REWARD),
        features=_array(fields, "features", _F4, (steps + 1) * width, most=MAX_FEATURE).reshape(
            steps + 1, width
        ),
        priorities=None,
        end=_decode_end(fields["end"]),
    )
    _require(valid_actor(decoded.actor), "the actor's name is not allowed")
    _require(decoded.transitions > 0, f"{steps} steps hold no transition of {decoded.n_step} steps")
    _require(decoded.ended == (decoded.end is not None), "the end and its flags disagree")
    if fields["priorities"] is not None:
        priorities = _array(fields, "priorities", _F4, decoded.transitions, most=MAX_REWARD)
        _require(not (priorities < 0.0).any(), "a priority is negative")
        decoded = replace(decoded, priorities=priorities)
    return decoded, _integer(fields, "frames_crc", low=0, high=2**32 - 1)


def _decode_end(value: object) -> EpisodeEnd | None:
    if value is None:
        return None
    _require(isinstance(value, dict) and value.keys() == _END_FIELDS, "a malformed episode end")
    assert isinstance(value, dict)
    counts = value["action_counts"]
    _require(
        isinstance(counts, list)
        and all(type(count) is int and 0 <= count < MAX_COUNTER for count in counts),
        "action_counts is no list of counts",
    )
    finish_ms = None
    if value["finish_ms"] is not None:
        finish_ms = _number(value, "finish_ms", low=0.0)
    return EpisodeEnd(
        episode_return=_number(value, "episode_return"),
        steps=_integer(value, "steps", low=1),
        reason=_text(value, "reason"),
        finish_ms=finish_ms,
        progress_m=_number(value, "progress_m"),
        action_counts=tuple(counts),
        ended_at=_number(value, "ended_at"),
    )


def _integer(fields: dict[str, object], name: str, *, low: int, high: int = MAX_COUNTER) -> int:
    value = fields[name]
    _require(type(value) is int and low <= value <= high, f"{name} is out of range")
    assert isinstance(value, int)
    return value


def _number(
    fields: dict[str, object],
    name: str,
    *,
    low: float = -MAX_MAGNITUDE,
    high: float = MAX_MAGNITUDE,
) -> float:
    value = fields[name]
    _require(type(value) in (int, float), f"{name} is no number")
    assert isinstance(value, int | float)
    _require(low <= value <= high, f"{name} is out of range")
    return float(value)


def _text(fields: dict[str, object], name: str) -> str:
    value = fields[name]
    _require(isinstance(value, str) and value.isprintable(), f"{name} is no text")
    assert isinstance(value, str)
    return value


def _flag(fields: dict[str, object], name: str) -> bool:
    value = fields[name]
    _require(isinstance(value, bool), f"{name} is no flag")
    return bool(value)


def _array(
    fields: dict[str, object],
    name: str,
    dtype: np.dtype[_Scalar],
    length: int,
    *,
    most: float = math.inf,
) -> npt.NDArray[_Scalar]:
    value = fields[name]
    _require(
        isinstance(value, bytes) and len(value) == length * dtype.itemsize,
        f"{name} has another length than its segment",
    )
    assert isinstance(value, bytes)
    array = np.frombuffer(value, dtype)
    _require(bool(np.isfinite(array).all()), f"{name} holds a value that is not finite")
    _require(bool((np.abs(array) <= most).all()), f"{name} holds a value beyond {most:g}")
    return array
