import math

import numpy as np
import pytest

from actors.sim.blocks import Block, left, straight, walled
from actors.sim.car import Car
from actors.sim.catalogue import TRACK_NAMES, load_track
from actors.sim.physics import (
    GEAR,
    HEADING,
    NEXT_GATE,
    OFFSET,
    ON_ROAD,
    POS_X,
    POS_Y,
    RPM,
    SPEED_X,
    SPEED_Y,
    TIME_S,
)
from actors.sim.pilot import Pilot
from actors.sim.track import Track, build_track

GAS, COAST, BRAKE = (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def runway(*, blocks: float = 30, grade: float = 0.0) -> Track:
    return build_track("runway", [straight(blocks, grade=grade)])


def speed_after(
    track: Track, controls: tuple[float, float, float], ticks: int, **start: float
) -> float:
    car = Car(track)
    car.place(**start)
    car.drive(controls, ticks)
    return car.speed_mps


def test_the_car_reaches_30_mps_in_about_three_seconds_and_tops_out_below_70() -> None:
    assert 27.0 < speed_after(runway(), GAS, 180) < 33.0
    assert 60.0 < speed_after(runway(blocks=60), GAS, 25 * 60) < 70.0


def test_gears_shift_up_one_by_one_and_rpm_stays_in_range() -> None:
    car = Car(runway())
    gears, rpm = [], []
    for _ in range(600):
        car.drive(GAS)
        gears.append(int(car.state[GEAR]))
        rpm.append(car.state[RPM])
    assert sorted(set(gears)) == [1, 2, 3, 4, 5]
    assert gears == sorted(gears)
    assert min(rpm) >= 1000.0
    assert 9000.0 < max(rpm) <= 10500.0


def test_brakes_stop_the_car_and_then_reverse_it() -> None:
    car = Car(runway())
    car.place(speed_mps=30.0)
    ticks = 0
    while car.state[SPEED_X] > 0.0:
        car.drive(BRAKE)
        ticks += 1
    assert 60 < ticks < 120
    car.drive(BRAKE, 120)
    assert -6.5 < car.state[SPEED_X] < -3.0
    assert car.state[GEAR] == 0


def test_steering_left_mirrors_steering_right() -> None:
    paths = []
    for sign in (-1.0, 1.0):
        car = Car(runway())
        car.place(speed_mps=25.0)
        path = []
        for tick in range(90):
            car.drive((1.0, float(tick > 60), sign * 0.8))
            path.append((car.state[POS_X], car.state[POS_Y], car.state[HEADING]))
        paths.append(np.array(path))
    assert np.array_equal(paths[0][:, 0], paths[1][:, 0])
    assert np.allclose(paths[0][:, 1:], -paths[1][:, 1:], atol=1e-12)
    assert paths[0][-1, 1] > 5.0


def test_a_fast_full_lock_turn_slides_and_a_straight_wheel_recovers() -> None:
    car = Car(runway())
    car.place(speed_mps=30.0)
    car.drive((1.0, 1.0, -1.0), 40)
    assert abs(car.state[SPEED_Y]) > 2.0
    car.drive(COAST, 60)
    assert abs(car.state[SPEED_Y]) < 0.2


def test_grass_is_slower_than_road() -> None:
    start = {"lateral_m": 12.0}
    assert speed_after(runway(), GAS, 300, **start) < 0.7 * speed_after(runway(), GAS, 300)
    assert speed_after(runway(), COAST, 60, speed_mps=30.0, **start) < 27.0


def test_a_climb_costs_speed_and_a_descent_gives_it() -> None:
    flat, climb, descent = (
        speed_after(runway(grade=grade), COAST, 120, speed_mps=30.0) for grade in (0.0, 0.1, -0.1)
    )
    assert climb < flat - 1.0
    assert descent > flat + 1.0


def test_a_wall_keeps_the_car_in_and_takes_speed() -> None:
    track = build_track("pipe", list(walled(straight(6))), width_m=14.0)
    car = Car(track)
    car.place(heading_offset_rad=0.6, speed_mps=30.0)
    offsets = []
    for _ in range(120):
        car.drive(GAS)
        offsets.append(abs(car.state[OFFSET]))
    assert max(offsets) <= 14.0 / 2 - 0.8 + 1e-6
    assert car.state[ON_ROAD] == 1.0
    assert car.speed_mps < speed_after(track, GAS, 120, speed_mps=30.0) - 3.0


def test_the_finish_is_timed_inside_the_tick() -> None:
    track = runway()
    car = Car(track)
    gate = len(track.gates) - 1
    for ahead_m, speed in ((1.0, 30.0), (0.37, 41.0), (0.05, 12.5)):
        car.place(speed_mps=speed)
        car.state[NEXT_GATE] = gate
        car.state[POS_X] = track.gates[gate, 0] - ahead_m
        while not car.finished:
            car.drive(COAST)
        assert car.splits_s[-1] == pytest.approx(ahead_m / speed, abs=2e-4)
        assert car.lap_time_ms == round(car.splits_s[-1] * 1000)


def test_gates_count_only_in_order_forwards_and_between_their_posts() -> None:
    track = runway()
    car = Car(track)
    second = track.gates[1]
    car.place(speed_mps=30.0)
    car.state[POS_X] = second[0] - 0.2
    car.drive(COAST)
    assert car.gates_passed == 0
    first = track.gates[0]
    for x, y, speed in ((first[0] + 0.2, 0.0, -30.0), (first[0] - 0.2, 15.0, 30.0)):
        car.place(speed_mps=speed)
        car.state[POS_X], car.state[POS_Y] = x, y
        car.drive(COAST)
        assert car.gates_passed == 0
    car.place(speed_mps=30.0)
    car.state[POS_X] = first[0] - 0.2
    car.drive(COAST)
    assert car.gates_passed == 1
    assert len(car.split_times_ms) == 1


def test_three_ticks_at_once_are_three_ticks() -> None:
    one, other = Car(load_track("hillclimb")), Car(load_track("hillclimb"))
    for tick in range(200):
        controls = (1.0, float(tick % 7 == 0), math.sin(tick / 9.0))
        one.drive(controls, 3)
        for _ in range(3):
            other.drive(controls)
    assert np.array_equal(one.state, other.state)


@pytest.mark.parametrize("seed", range(4))
def test_no_control_breaks_the_physics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    car = Car(load_track("canyon" if seed % 2 else "hairpins"))
    for _ in range(400):
        car.drive((rng.random(), float(rng.random() < 0.3), rng.uniform(-1.0, 1.0)), 10)
        assert np.isfinite(car.state).all()
        assert car.speed_mps < 75.0
        assert 0 <= car.state[GEAR] <= 5
    assert car.state[TIME_S] == pytest.approx(4000 / 60)


def drive_to_finish(track: Track, **start: float) -> Car:
    car = Car(track)
    car.place(**start)
    pilot = Pilot(car)
    while not car.finished and car.state[TIME_S] < 150.0:
        car.drive(pilot.controls(), 3)
    return car


@pytest.mark.parametrize("name", [*TRACK_NAMES, *(f"generated:{seed}" for seed in range(20))])
def test_the_pilot_finishes_every_track(name: str) -> None:
    track = load_track(name)
    car = drive_to_finish(track, lateral_m=2.0, heading_offset_rad=-0.07)
    assert car.finished
    assert len(car.split_times_ms) == len(track.checkpoints)
    assert list(car.split_times_ms) == sorted(car.split_times_ms)
    assert 15.0 < track.length_m / (car.lap_time_ms / 1000) < 45.0


def test_the_pilot_leaves_no_road_on_the_first_lap() -> None:
    car = Car(load_track("first-lap"))
    pilot = Pilot(car)
    while not car.finished:
        car.drive(pilot.controls(), 3)
        assert car.state[ON_ROAD] == 1.0
    assert 18_000 < car.lap_time_ms < 25_000


def test_place_forgets_the_last_lap() -> None:
    car = drive_to_finish(build_track("dash", [straight(2), left(60, 45), Block(20.0)]))
    car.place()
    assert (car.gates_passed, car.lap_time_ms, car.split_times_ms) == (0, None, ())
    assert np.isinf(car.splits_s).all()
    assert car.speed_mps == 0.0
