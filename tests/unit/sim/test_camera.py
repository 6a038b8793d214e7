import math

import numpy as np
import pytest
from numpy.typing import NDArray

from actors.sim.blocks import Block, chicane, left, right, straight, walled
from actors.sim.camera import Camera
from actors.sim.car import Car
from actors.sim.catalogue import load_track
from actors.sim.env import SimEnv
from actors.sim.painting import FOCAL_X, FOCAL_Y, HEIGHT_M, HORIZON
from actors.sim.physics import BRAKE, HEADING, LINE_ROW, POS_X, POS_Y, STEER
from actors.sim.track import Track, build_track

SIZE = 64


def picture(track: Track, along_m: float = 0.0, **changes: float) -> NDArray[np.int64]:
    """The grey picture of a car ``along_m`` behind the start, its state changed by name."""
    car = Car(track)
    row = track.start_index + round(along_m * 10)
    car.state[POS_X], car.state[POS_Y] = track.line[row, :2]
    car.state[HEADING] = math.atan2(track.line[row, 3], track.line[row, 2])
    car.state[LINE_ROW] = row
    places = {"steer": STEER, "brake": BRAKE, "heading": HEADING}
    for name, value in changes.items():
        car.state[places[name]] = value
    out = np.empty((SIZE, SIZE), dtype=np.uint8)
    Camera(track, SIZE, SIZE).paint(car.state, out)
    return out.astype(np.int64)


def one_curve(*blocks: Block) -> Track:
    return build_track("curve", [straight(2), *blocks, straight(4)])


def asphalt_centre(frame: NDArray[np.int64], rows: slice) -> float:
    """Mean column of the dark (asphalt) pixels of some rows, from the middle of the picture."""
    columns = np.nonzero(frame[rows] < 97)[1]
    return float(columns.mean()) - (SIZE - 1) / 2


def test_the_road_ahead_bends_in_the_picture_as_on_the_track() -> None:
    rows = slice(24, 30)
    to_left = asphalt_centre(picture(one_curve(left(45)), 48.0), rows)
    to_right = asphalt_centre(picture(one_curve(right(45)), 48.0), rows)
    ahead = asphalt_centre(picture(one_curve(straight(2)), 48.0), rows)
    assert to_left < -3.0
    assert to_right > 3.0
    assert abs(ahead) < 1.0


def test_edge_lines_stand_out_45_metres_ahead() -> None:
    frame = picture(build_track("runway", [straight(10)], width_m=16.0), 20.0)
    row = int(SIZE * HORIZON + HEIGHT_M * FOCAL_Y * SIZE / 45.0)
    for side in (-1, 1):
        edge = round(SIZE / 2 - 0.5 + side * FOCAL_X * SIZE * 7.3 / 45.0)
        line = frame[row, edge - 1 : edge + 2].max()
        inside = frame[row, edge - side * 3]
        outside = frame[row, edge + side * 4]
        assert line > inside + 20
        assert line > outside + 15


def test_sky_grass_and_road_have_their_own_grey() -> None:
    frame = picture(build_track("runway", [straight(10)]), 10.0)
    sky, grass, road = frame[14:17].mean(), frame[30:34, :6].mean(), frame[40:50, 14:20].mean()
    assert sky > grass + 40
    assert grass > road + 25


def test_moving_along_a_straight_changes_the_picture() -> None:
    track = build_track("runway", [straight(10)])
    assert np.abs(picture(track, 20.0) - picture(track, 21.5)).sum() > 2000


def test_brake_lights_and_lean_show() -> None:
    track = build_track("runway", [straight(10)])
    plain = picture(track, 10.0)
    assert picture(track, 10.0, brake=1.0).sum() > plain.sum() + 100
    leans = [picture(track, 10.0, steer=steer) for steer in (-1.0, 1.0)]
    assert not np.array_equal(leans[0], leans[1])
    assert np.array_equal(leans[0][:40], leans[1][:40])


def test_turning_the_head_scrolls_the_hills() -> None:
    track = build_track("runway", [straight(10)])
    horizon = slice(16, 23)
    assert not np.array_equal(
        picture(track, 10.0)[horizon], picture(track, 10.0, heading=0.5)[horizon]
    )


def test_the_finish_arch_is_black_and_white() -> None:
    track = build_track("dash", [straight(4)])
    away = picture(track, track.length_m - 30.0)[8:20, 16:48]
    assert (away < 30).sum() > 20
    assert (away > 240).sum() > 20


def test_walls_rise_beside_the_road() -> None:
    open_road = picture(build_track("a", [straight(6)]), 30.0)
    walls = picture(build_track("b", list(walled(straight(6)))), 30.0)
    sides = np.s_[28:44, :8]
    assert np.abs(open_road[sides] - walls[sides]).mean() > 25


def test_the_camera_looks_anywhere_without_harm() -> None:
    track = build_track("weave", [straight(2), *chicane(40, 40), straight(2)])
    camera, car = Camera(track), Car(track)
    out = np.empty((SIZE, SIZE), dtype=np.uint8)
    rng = np.random.default_rng(1)
    for _ in range(300):
        car.state[POS_X], car.state[POS_Y] = rng.uniform(-2000.0, 2000.0, 2)
        car.state[HEADING] = rng.uniform(-40.0, 40.0)
        car.state[LINE_ROW] = rng.integers(-1, len(track.line))
        camera.paint(car.state, out)
    assert out.std() > 5


@pytest.mark.parametrize(("width", "height"), [(256, 128), (640, 360), (32, 32)])
def test_colour_pictures_of_any_size_show_green_grass_and_blue_sky(width: int, height: int) -> None:
    track = load_track("first-lap")
    car = Car(track)
    out = np.empty((height, width, 3), dtype=np.uint8)
    Camera(track, width, height, colour=True).paint(car.state, out)
    red, green, blue = out[height // 2, 1].astype(int)
    assert green > max(red, blue) + 20
    assert int(out[1, 1, 2]) > int(out[1, 1, 0]) + 50


def steer_by_sight(frame: NDArray[np.int64], speed_mps: float) -> int:
    """An action from one picture: towards the middle of the asphalt, slower when it lies aside."""
    bend = asphalt_centre(frame, slice(25, 33))
    coast, gas, gas_left, gas_right, left_only, right_only, *_, brake = range(9)
    if speed_mps > (24.0 if abs(bend) < 3.0 else 18.0):
        if speed_mps > 26.0:
            return brake
        return coast if abs(bend) < 2.0 else (left_only if bend < 0.0 else right_only)
    return gas if abs(bend) < 2.0 else (gas_left if bend < 0.0 else gas_right)


@pytest.mark.parametrize("name", ["first-lap", "chicane", "hillclimb", "canyon", "oval"])
def test_the_picture_alone_is_enough_to_finish(name: str) -> None:
    env = SimEnv(track=name)
    observation, _ = env.reset(seed=11)
    ended = False
    while not ended:
        action = steer_by_sight(observation["image"][-1].astype(int), observation["features"][0])
        observation, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
    assert info["finished"]
