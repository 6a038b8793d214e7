import tracemalloc
import zlib
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import CorruptError
from common.segment import Segment
from common.wire import (
    EncodedSegment,
    check_spec,
    decode_meta,
    decode_segment,
    encode_segment,
    renumber,
    valid_actor,
)
from tests.support.segments import FULL, SMALL, make_segment


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    end = draw(st.booleans())
    n_step = draw(st.integers(1, 5))
    return make_segment(
        epoch=draw(st.integers(0, 2**50)),
        seq=draw(st.integers(1, 2**40)),
        steps=draw(st.integers(1 if end else n_step, 59)),
        episode=draw(st.integers(0, 10**6)),
        first_step=draw(st.integers(0, 10**4)),
        end=end,
        n_step=n_step,
        priorities=draw(st.booleans()),
        tag=draw(st.integers(0, 1000)),
    )


def sealed(fields: object) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return zlib.crc32(packed).to_bytes(4, "little") + packed


def opened(encoded: EncodedSegment) -> dict[str, object]:
    fields: dict[str, object] = msgpack.unpackb(encoded.meta[4:])
    return fields


def valid() -> EncodedSegment:
    return encode_segment(make_segment(epoch=5, seq=1, end=True, priorities=True, tag=3))


@settings(max_examples=60)
@given(segment=segments())
def test_a_segment_comes_back_as_it_was(segment: Segment) -> None:
    encoded = encode_segment(segment)
    decoded = decode_segment(encoded.meta, encoded.frames, SMALL)
    assert encoded.transitions == decoded.meta.transitions > 0
    assert encoded.entry_id == decoded.meta.entry_id
    assert np.array_equal(decoded.frames, segment.frames)
    for name in decoded.meta.__dataclass_fields__:
        found, expected = getattr(decoded.meta, name), getattr(segment.meta, name)
        if isinstance(expected, np.ndarray):
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)
        else:
            assert found == expected, name


@settings(max_examples=300)
@given(noise=st.binary(max_size=400))
def test_garbage_is_refused(noise: bytes) -> None:
    with pytest.raises(CorruptError):
        decode_meta(noise)
    with pytest.raises(CorruptError):
        decode_meta(zlib.crc32(noise).to_bytes(4, "little") + noise)


@settings(max_examples=200)
@given(data=st.data())
def test_a_flipped_or_cut_byte_is_found(data: st.DataObject) -> None:
    encoded = valid()
    position = data.draw(st.integers(0, len(encoded.meta) - 1))
    flipped = bytearray(encoded.meta)
    flipped[position] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), encoded.meta[:position]):
        with pytest.raises(CorruptError):
            decode_meta(damaged)
    pixel = data.draw(st.integers(0, len(encoded.frames) - 1))
    frames = bytearray(encoded.frames)
    frames[pixel] ^= 1
    for pixels in (bytes(frames), encoded.frames[:-1], b""):
        with pytest.raises(CorruptError):
            decode_segment(encoded.meta, pixels, SMALL)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@settings(max_examples=300)
@given(data=st.data())
def test_no_field_can_hold_something_else(data: st.DataObject) -> None:
    fields = opened(valid())
    name = data.draw(st.sampled_from(sorted(fields)))
    value = data.draw(json_like)
    fields[name] = value
    try:
        decoded = decode_meta(sealed(fields))
        check_spec(decoded, SMALL)
    except CorruptError:
        return
    assert np.isfinite(decoded.rewards).all()
    assert decoded.transitions > 0


@pytest.mark.parametrize("name", ["rewards", "features", "priorities"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(name: str, value: float) -> None:
    fields = opened(valid())
    raw = fields[name]
    assert isinstance(raw, bytes)
    fields[name] = np.float32(value).tobytes() + raw[4:]
    with pytest.raises(CorruptError, match=r"not finite"):
        decode_meta(sealed(fields))


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(nested(200_000), id="deep"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="map of 4 Gi"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="array of 4 Gi"),
        pytest.param(b"\xc6\xff\xff\xff\xff", id="binary of 4 GiB"),
        pytest.param(b"\xdc\xff\xff" + b"\x80" * 65535, id="empty maps"),
        pytest.param(b"\xdd\x00\x98\x96\x80" + b"\x80" * 10_000_000, id="megabytes of empty maps"),
        pytest.param(b"\xc8\x00\x01\x01\x00", id="extension"),
        pytest.param(b"\x80\x80", id="trailing"),
    ],
)
def test_poison_is_refused_cheaply(packed: bytes) -> None:
    poison = zlib.crc32(packed).to_bytes(4, "little") + packed
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError):
            decode_meta(poison)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_segment_of_another_game_is_refused() -> None:
    encoded = valid()
    with pytest.raises(CorruptError, match="bytes of frames"):
        decode_segment(encoded.meta, encoded.frames, FULL)
    for spec in (replace(SMALL, n_actions=3), replace(SMALL, n_features=4)):
        with pytest.raises(CorruptError):
            decode_segment(encoded.meta, encoded.frames, spec)


def test_frames_beyond_the_bound_are_refused_before_they_are_summed() -> None:
    huge = replace(FULL, frame_height=512, frame_width=512)
    encoded = encode_segment(make_segment(spec=huge, steps=20))
    with pytest.raises(CorruptError, match="bytes of frames"):
        decode_segment(encoded.meta, encoded.frames, huge)


def test_renumbering_changes_the_id_alone() -> None:
    encoded = valid()
    again = decode_segment(renumber(encoded.meta, epoch=9, seq=7), encoded.frames, SMALL)
    before = decode_segment(encoded.meta, encoded.frames, SMALL)
    assert again.meta.entry_id == "9-7"
    assert np.array_equal(again.meta.rewards, before.meta.rewards)
    assert again.meta.end == before.meta.end


def test_actor_names_that_fit_a_key() -> None:
    assert valid_actor("pc-1.left_seat")
    for name in ("", "a" * 65, "a:b", "a}b", "../x", "a b", "a\n", ".hidden"):
        assert not valid_actor(name)
