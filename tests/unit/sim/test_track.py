import math

import numpy as np
import pytest

from actors.sim.blocks import (
    TANGENT_X,
    TANGENT_Y,
    Block,
    X,
    Y,
    chicane,
    left,
    right,
    straight,
    trace,
)
from actors.sim.catalogue import TRACK_NAMES, load_track
from actors.sim.generator import generate_blocks
from actors.sim.ground import map_image
from actors.sim.road import project
from actors.sim.track import build_track
from common.errors import ConfigError


@pytest.mark.parametrize("name", TRACK_NAMES)
def test_the_reward_line_has_a_point_each_tenth_of_a_metre(name: str) -> None:
    track = load_track(name)
    steps = np.hypot(*np.diff(track.reward_line[:, :2], axis=0).T)
    assert track.reward_line.dtype == np.float64
    assert np.allclose(steps[:-1], 0.1, atol=0.003)
    assert steps[-1] <= 0.1 + 1e-9
    assert len(track.reward_line) == pytest.approx(track.length_m * 10 + 1, abs=1)
    assert tuple(track.reward_line[0, :2]) == pytest.approx(track.start_pose[:2])


@pytest.mark.parametrize("name", TRACK_NAMES)
def test_gates_stand_across_the_reward_line_in_order(name: str) -> None:
    track = load_track(name)
    assert list(track.gate_distances_m) == sorted(track.gate_distances_m)
    assert track.gate_distances_m[-1] == pytest.approx(track.length_m)
    for gate, distance in zip(track.gates, track.gate_distances_m, strict=True):
        point = track.reward_line[round(distance * 10)]
        assert math.dist(point[:2], gate[:2]) < 0.2
    assert len(track.checkpoints) == len(track.gates) - 1 >= 1


def test_a_chicane_ends_on_the_line_it_began_on() -> None:
    line = trace([straight(1), *chicane(40, 45), straight(1)])
    assert line[-1, Y] == pytest.approx(0.0, abs=1e-9)
    assert line[-1, TANGENT_X] == pytest.approx(1.0)


def test_a_left_curve_turns_to_the_left() -> None:
    line = trace([left(30, 90), Block(0.2)])
    assert (line[-1, X], line[-1, Y]) == pytest.approx((30.0, 30.0), abs=0.2)
    assert line[-1, TANGENT_Y] == pytest.approx(1.0)


@pytest.mark.parametrize("offset", [-20.0, -6.3, 0.0, 2.4, 15.0])
def test_projection_finds_the_row_and_the_signed_offset(offset: float) -> None:
    track = load_track("chicane")
    for row in range(300, len(track.line) - 300, 411):
        x, y, tangent_x, tangent_y = track.line[row, [X, Y, TANGENT_X, TANGENT_Y]]
        found = project(track.road, x - offset * tangent_y, y + offset * tangent_x)
        assert found[0] == pytest.approx(row, abs=2)
        assert found[1] == pytest.approx(offset, abs=0.05)


def test_a_point_far_from_the_road_projects_nowhere() -> None:
    assert project(load_track("oval").road, 9999.0, 0.0)[0] == -1


def test_a_road_that_meets_itself_is_refused() -> None:
    loop = [straight(4), *[left(40, 90), straight(1)] * 4, straight(4)]
    with pytest.raises(ConfigError, match="of itself"):
        build_track("loop", loop)


def test_a_curve_that_pinches_the_road_is_refused() -> None:
    with pytest.raises(ConfigError, match="pinches"):
        build_track("tight", [straight(1), right(9), straight(1)], width_m=16.0)


@pytest.mark.parametrize(
    "blocks",
    [
        [straight(3), left(56, 180), straight(5), left(56, 180), straight(3)],
        [straight(3, grade=0.1), left(56, 180), straight(6), left(56, 180), straight(3)],
    ],
)
def test_a_lap_that_does_not_close_is_refused(blocks: list[Block]) -> None:
    with pytest.raises(ConfigError, match="the lap ends"):
        build_track("gap", blocks, closed=True)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("first-lab", "did you mean 'first-lap'"),
        ("xyzzy", "oval"),
        ("generated:-1", "whole number"),
    ],
)
def test_an_unknown_track_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="there is no track") as caught:
        load_track(name)
    assert hint in caught.value.why
    assert caught.value.fix.startswith("--track ")


def test_every_track_has_its_own_content_hash() -> None:
    hashes = {name: load_track(name).content_hash for name in TRACK_NAMES}
    assert len(set(hashes.values())) == len(TRACK_NAMES)
    blocks = [straight(2), left(50), straight(2)]
    assert build_track("a", blocks).content_hash == build_track("b", blocks).content_hash
    wider = build_track("a", blocks, width_m=15.0)
    assert build_track("a", blocks).content_hash != wider.content_hash


def test_generated_tracks_are_valid_varied_and_repeatable() -> None:
    tracks = [load_track(f"generated:{seed}") for seed in range(20)]
    assert all(track.length_m > 400.0 for track in tracks)
    assert len({track.content_hash for track in tracks}) == len(tracks)
    assert generate_blocks(7) == generate_blocks(7)
    sides = {math.copysign(1, block.curvature) for block in generate_blocks(7) if block.curvature}
    assert sides


def test_the_map_shows_asphalt_on_the_road_and_grass_beside_it() -> None:
    track = load_track("oval")
    picture = map_image(track, 1.0)
    x, y, _ = track.start_pose
    row = picture.shape[0] - 1 - int(y - track.origin[1])
    column = int(x - track.origin[0])
    road = picture[row - 4, column + 30].astype(int)
    grass = picture[row - 25, column + 30].astype(int)
    assert np.ptp(road) < 20
    assert grass[1] > grass[0] + 20
    assert grass[1] > grass[2] + 40
