import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.trackmania.telemetry import MESSAGE_BYTES, Telemetry, implausible, pack, unpack

GOOD = Telemetry(
    speed_mps=31.5,
    distance_m=120.25,
    x=700.5,
    y=9.75,
    z=-12.0,
    steer=-0.5,
    gas=1.0,
    brake=0.0,
    finished=0.0,
    gear=3.0,
    rpm=8300.0,
)
NUMBERS = st.floats(width=32, allow_nan=False)


def test_the_order_is_that_of_the_plugin() -> None:
    assert pack(GOOD) == struct.pack("<11f", *GOOD)
    assert MESSAGE_BYTES == 44
    assert list(GOOD).index(8300.0) == 10
    assert GOOD._fields.index("finished") == 8
    assert GOOD._fields.index("gear") == 9


@given(st.tuples(*[NUMBERS] * 11))
def test_a_message_comes_back_as_it_was(numbers: tuple[float, ...]) -> None:
    assert unpack(pack(Telemetry(*numbers))) == Telemetry(*numbers)


@pytest.mark.parametrize("length", [0, 43, 45, 88])
def test_another_length_is_no_message(length: int) -> None:
    with pytest.raises(ValueError, match="44 bytes"):
        unpack(bytes(length))


@given(st.binary(min_size=44, max_size=44))
def test_any_bytes_are_judged_without_an_error(data: bytes) -> None:
    why = implausible(unpack(data))
    assert why is None or why


def test_a_good_message_is_plausible() -> None:
    assert implausible(GOOD) is None
    assert implausible(unpack(pack(GOOD))) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("x", float("nan")),
        ("speed_mps", float("inf")),
        ("z", -2e5),
        ("finished", 0.5),
        ("brake", 2.0),
        ("gas", -0.1),
        ("gas", 1.1),
        ("steer", -1.01),
        ("gear", 2.5),
        ("gear", 9.0),
        ("rpm", -1.0),
        ("rpm", 30_000.0),
    ],
)
def test_what_no_plugin_sends_is_named(field: str, value: float) -> None:
    why = implausible(GOOD._replace(**{field: value}))
    assert why is not None
    assert field in why or "finite" in why or "position" in why


@pytest.mark.parametrize("shift", range(1, 44))
def test_a_shifted_stream_gives_itself_away(shift: int) -> None:
    stream = pack(GOOD) * 3
    assert implausible(unpack(stream[shift : shift + 44])) is not None
