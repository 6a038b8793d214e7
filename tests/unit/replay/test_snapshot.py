import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import CorruptError
from replay_server.snapshot import ReplayState, decode_state, encode_state


def make_state(n_values: int = 5) -> ReplayState:
    return ReplayState(
        low=7,
        values=np.arange(n_values, dtype=np.float32),
        max_priority=3.5,
        sampled=2**40,
        next_id=12,
        learner_steps=9,
        generator=dict(np.random.PCG64(3).state),
        alpha=0.6,
    )


@pytest.mark.parametrize("n_values", [0, 1, 1000])
def test_a_state_comes_back_with_its_generator(n_values: int) -> None:
    state = make_state(n_values)
    again = decode_state(encode_state(state))
    assert np.array_equal(again.values, state.values)
    assert again.sampled == state.sampled
    restored = np.random.PCG64()
    restored.state = again.generator  # type: ignore[assignment]
    ours, theirs = (np.random.Generator(bits) for bits in (restored, np.random.PCG64(3)))
    assert ours.random() == theirs.random()


@settings(max_examples=100)
@given(data=st.data())
def test_a_damaged_state_is_refused(data: st.DataObject) -> None:
    blob = bytearray(encode_state(make_state()))
    cut = data.draw(st.integers(0, len(blob) - 1))
    with pytest.raises(CorruptError):
        decode_state(bytes(blob[:cut]))
    blob[cut] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptError):
        decode_state(bytes(blob))
