import math

import numpy as np
import pytest

from actors.sim.catalogue import TRACK_NAMES, load_track
from actors.standin.map_place import map_place
from actors.standin.pad import A_BUTTON, B_BUTTON, Pad
from actors.standin.race import COUNTDOWN_TICKS, Race, RaceState
from actors.trackmania.reward_line import RewardLine
from actors.trackmania.telemetry import Telemetry, implausible

GAS = Pad(gas=1.0)


def _telemetry(race: Race) -> Telemetry:
    message = race.telemetry()
    assert message is not None
    return message


def _ticks(race: Race, count: int, pad: Pad = GAS) -> None:
    for _ in range(count):
        race.tick(pad)


def _finished(track: str = "first-lap") -> Race:
    race = Race(track, autopilot=True)
    while race.state is not RaceState.FINISHED:
        race.tick(Pad())
        assert race.restarts == 0
    return race


def _picture(race: Race) -> np.ndarray:
    picture = np.zeros((64, 96, 3), dtype=np.uint8)
    race.paint(picture)
    return picture


def test_the_car_stands_for_a_second_and_a_half() -> None:
    race = Race("first-lap")
    _ticks(race, COUNTDOWN_TICKS)
    assert race.state is RaceState.COUNTDOWN
    message = _telemetry(race)
    assert (message.speed_mps, message.distance_m, message.gas) == (0.0, 0.0, 1.0)
    _ticks(race, 1)
    assert race.state is RaceState.RACING
    assert _telemetry(race).distance_m > 0.0


def test_the_clock_starts_with_the_race() -> None:
    race = _finished()
    lap_ms = race.car.lap_time_ms
    assert lap_ms is not None
    assert 10_000 < lap_ms < 60_000
    assert race.car.state[10] * 1000 == pytest.approx(lap_ms, abs=17.0)


def test_the_finish_flag_stays_up_until_a_restart() -> None:
    race = _finished()
    race.autopilot = False
    for _ in range(300):
        race.tick(GAS)
        assert _telemetry(race).finished == 1.0
        assert implausible(_telemetry(race)) is None
    race.press(A_BUTTON)
    assert _telemetry(race).finished == 1.0
    race.press(B_BUTTON)
    message = _telemetry(race)
    assert (message.finished, message.distance_m, message.speed_mps) == (0.0, 0.0, 0.0)
    assert race.state is RaceState.COUNTDOWN
    assert race.restarts == 1


def test_the_pop_up_closes() -> None:
    race = _finished()
    shown = _picture(race)
    race.press(A_BUTTON)
    assert not np.array_equal(shown, _picture(race))


def test_the_autopilot_drives_lap_after_lap_along_the_reward_line() -> None:
    race = _finished()
    end = RewardLine.from_track(load_track("first-lap")).points[-1]
    message = _telemetry(race)
    assert math.dist(end, (message.x, message.y, message.z)) < 10.0
    _ticks(race, 130, Pad())
    assert race.restarts == 1
    assert race.state is RaceState.COUNTDOWN


def test_a_race_begins_where_its_reward_line_does() -> None:
    for name in TRACK_NAMES:
        race = Race(name)
        message = _telemetry(race)
        start = RewardLine.from_track(load_track(name)).start
        assert math.dist(start, (message.x, message.y, message.z)) < 0.2


def test_no_two_maps_begin_at_the_same_place() -> None:
    places = [map_place(load_track(name)) for name in TRACK_NAMES]
    for index, place in enumerate(places):
        assert all(math.dist(place, other) > 60.0 for other in places[:index])


def test_another_map_is_elsewhere() -> None:
    race = Race("first-lap")
    before = _telemetry(race)
    race.load("oval")
    after = _telemetry(race)
    assert math.dist(before[2:5], after[2:5]) > 30.0
    assert race.restarts == 0


def test_the_menu_says_nothing_and_moves() -> None:
    race = Race("first-lap")
    racing = _picture(race)
    race.open_menu()
    assert race.telemetry() is None
    menu = _picture(race)
    assert not np.array_equal(racing, menu)
    _ticks(race, 60)
    assert not np.array_equal(menu, _picture(race))
    race.press(B_BUTTON)
    assert race.state is RaceState.MENU
    race.restart()
    assert race.state is RaceState.COUNTDOWN


def test_the_inputs_are_echoed() -> None:
    race = Race("first-lap")
    race.tick(Pad(gas=0.5, brake=0.25, steer=-0.75))
    message = _telemetry(race)
    assert (message.gas, message.brake, message.steer) == (0.5, 1.0, -0.75)


def test_the_picture_has_colour_and_any_size() -> None:
    race = Race("first-lap")
    for width, height in ((256, 128), (64, 64), (320, 180)):
        picture = np.zeros((height, width, 3), dtype=np.uint8)
        race.paint(picture)
        assert picture.std() > 20
        assert not np.array_equal(picture[..., 0], picture[..., 2])
