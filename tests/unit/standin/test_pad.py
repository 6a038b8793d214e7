import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.standin.pad import DATAGRAM_BYTES, Pad, pack_pad, unpack_pad


@given(st.binary(max_size=2 * DATAGRAM_BYTES))
def test_any_datagram_gives_a_sane_pad_or_none(data: bytes) -> None:
    pad = unpack_pad(data)
    if pad is None:
        return
    assert 0.0 <= pad.gas <= 1.0
    assert 0.0 <= pad.brake <= 1.0
    assert -1.0 <= pad.steer <= 1.0


def test_a_pad_comes_back_as_it_was() -> None:
    pad = Pad(gas=1.0, brake=0.5, steer=-0.25, buttons=0x3000)
    assert unpack_pad(pack_pad(pad)) == pad


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_not_taken(bad: float) -> None:
    assert unpack_pad(pack_pad(Pad(steer=bad))) is None
