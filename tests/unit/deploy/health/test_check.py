import math

import pytest

from deploy.health.check import Band, Bands, Check, Point, State, advance, as_values

BANDS = Bands(watch=Band(low=0.0), red=Band(low=-10.0))


def _fed(values: list[float], *, hold: int = 3, bands: Bands = BANDS) -> list[State]:
    check, states = Check(), []
    for place, value in enumerate(values):
        check = advance(check, Point(place, 10 * place, float(place), value), bands, hold=hold)
        states.append(check.state)
    return states


def test_a_state_is_known_after_as_many_figures_as_it_takes() -> None:
    assert _fed([1.0, 1.0, 1.0]) == ["unknown", "unknown", "ok"]
    assert _fed([-20.0] * 3) == ["unknown", "unknown", "red"]
    assert _fed([1.0], hold=1) == ["ok"]


def test_a_single_figure_changes_nothing_and_as_many_in_a_row_do() -> None:
    assert _fed([1, 1, 1, -20, 1, -20, -20, 1, -20, -20, -20])[-2:] == ["ok", "red"]


def test_a_check_turns_to_the_mildest_of_what_its_figures_mean() -> None:
    assert _fed([1, 1, 1, -20, -5, -20])[-1] == "watch"
    assert _fed([1, 1, 1, -20, -5, -20, -20, -20, -20])[-1] == "red"


def test_to_heal_a_figure_has_to_come_back_beyond_the_bound() -> None:
    red = [-20.0] * 3
    assert _fed([*red, -9.9, -9.9, -9.9])[-1] == "red"
    assert _fed([*red, -8.9, -8.9, -8.9])[-1] == "watch"
    assert _fed([*red, 1.0, 1.0, 1.0])[-1] == "ok"


def test_figures_that_swing_around_a_bound_do_not_flicker() -> None:
    swinging = [-9.5 if place % 2 else -10.5 for place in range(100)]
    states = _fed([-20.0] * 3 + swinging)
    assert set(states[2:]) == {"red"}


@pytest.mark.parametrize("state", ["watch", "red"])
def test_what_is_no_number_is_the_worst(state: State) -> None:
    bands = Bands(watch=Band(high=1.0), red=Band(high=2.0) if state == "red" else None)
    assert _fed([math.nan] * 3, bands=bands)[-1] == state


def test_a_check_tells_since_when_and_what_was_expected() -> None:
    check = Check()
    for place, value in enumerate([1.0, 1.0, 1.0, -20.0, -21.0, -22.0]):
        check = advance(check, Point(place, 10 * place, 5.0, value), BANDS, hold=3)
    assert as_values(check) == {
        "state": "red",
        "since": {"episode": 3, "env_steps": 30, "time": 5.0},
        "value": -22.0,
        "names": "",
        "at": {"episode": 5, "env_steps": 50, "time": 5.0},
        "bound": "at least -10",
    }
    assert as_values(Check())["since"] is None
