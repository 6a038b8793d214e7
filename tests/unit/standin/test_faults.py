import pytest

from actors.standin.faults import FAULTS, MOMENTARY, Faults, PlannedFault, parse_fault
from common.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop", PlannedFault("drop")),
        ("stall@20", PlannedFault("stall", 20.0)),
        ("freeze@1.5+0.25", PlannedFault("freeze", 1.5, 0.25)),
    ],
)
def test_a_fault_is_read_and_written(text: str, fault: PlannedFault) -> None:
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    "text", ["", "nap", "stall@", "stall@-1", "stall+3", "stall@1+", "stall@x"]
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_fault(text)


def test_a_misspelt_fault_gets_a_proposal() -> None:
    with pytest.raises(ConfigError, match="apexmania game fault freeze"):
        parse_fault("freez")


def test_a_planned_fault_comes_and_goes() -> None:
    faults = Faults([parse_fault("stall@2+3"), parse_fault("drop@4")], now_s=100.0)
    assert faults.advance(101.9) == []
    assert faults.active == ()
    assert faults.advance(102.0) == []
    assert faults.active == ("stall",)
    assert faults.advance(104.0) == ["drop"]
    assert faults.advance(104.1) == []
    assert "stall" in faults
    faults.advance(105.0)
    assert faults.active == ()


def test_a_fault_without_a_span_holds_until_it_is_healed() -> None:
    faults = Faults([parse_fault("slow@900")])
    for name in FAULTS:
        faults.strike(name, now_s=0.0)
    assert sorted(faults.advance(1.0)) == sorted(MOMENTARY)
    assert set(faults.active) == set(FAULTS) - MOMENTARY
    faults.advance(800.0)
    assert set(faults.active) == set(FAULTS) - MOMENTARY
    faults.heal()
    faults.advance(1000.0)
    assert faults.active == ()
