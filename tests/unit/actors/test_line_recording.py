"""Laps become lines: where they begin and end, what is left out, and what is no lap."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actors.sim.catalogue import TRACK_NAMES, load_track
from actors.trackmania.line_recording import LapRecorder, Position, RecordedLap, line_of
from actors.trackmania.reward_line import RewardLine
from common.errors import CorruptError

FRAME_S = 1.0 / 60.0
Message = tuple[float, Position, float, bool]


def along(points: NDArray[np.float64], *, speed_mps: float = 40.0) -> list[Position]:
    """Positions of a car that follows the points at 60 frames a second."""
    stride = max(1, round(speed_mps * FRAME_S / 0.1))
    x, y, z = np.concatenate([points[::stride], points[-1:]]).T.tolist()
    return list(zip(x, y, z, strict=True))


def messages(
    positions: Iterable[Position], *, began_s: float = 0.0, finish: bool = True
) -> Iterator[Message]:
    """Telemetry of a lap: a countdown of 1.5 s, the positions, and the finish."""
    way = list(positions)
    way = [way[0]] * 90 + way
    driven_m, last = 0.0, way[0]
    for frame, position in enumerate(way):
        driven_m += math.dist(position, last)
        last = position
        done = finish and frame == len(way) - 1
        yield began_s + frame * FRAME_S, position, driven_m, done


def record(stream: Iterable[Message], recorder: LapRecorder | None = None) -> RecordedLap | None:
    recorder = recorder or LapRecorder("map")
    lap = None
    for arrived_s, position, distance_m, finished in stream:
        lap = lap or recorder.feed(
            arrived_s=arrived_s,
            position=position,
            distance_m=distance_m,
            speed_mps=40.0,
            finished=finished,
        )
    return lap


def farthest_m(line: RewardLine, truth: NDArray[np.float64]) -> float:
    """How far the line is from the truth at its worst point."""
    return max(
        float(np.linalg.norm(truth - point, axis=1).min())
        for point in line.points[:: max(1, len(line.points) // 300)]
    )


@pytest.mark.parametrize("name", TRACK_NAMES)
def test_a_lap_of_each_track_gives_its_line(name: str) -> None:
    truth = RewardLine.from_track(load_track(name))
    lap = record(messages(along(truth.points)))
    assert lap is not None
    assert lap.line.name == "map"
    assert lap.line.length_m == pytest.approx(truth.length_m, abs=0.005 * truth.length_m)
    assert farthest_m(lap.line, truth.points) < 0.12
    assert math.dist(lap.line.start, truth.start) == 0.0
    assert math.dist(lap.line.points[-1], truth.points[-1]) < 0.11
    assert lap.seconds == pytest.approx((lap.messages - 1) * FRAME_S)
    gaps = np.linalg.norm(np.diff(lap.line.points, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 0.1, atol=1e-9)


def straight(length_m: float = 100.0, *, step_m: float = 0.5) -> list[Position]:
    return [(step * step_m, 0.0, 0.0) for step in range(round(length_m / step_m) + 1)]


def test_what_comes_before_a_restart_is_not_recorded() -> None:
    middle_of_a_lap = [(s, p, d + 300.0, done) for s, p, d, done in messages(straight(60.0))]
    lap = record([*middle_of_a_lap, *messages(straight(100.0), began_s=10.0)])
    assert lap is not None
    assert lap.line.length_m == pytest.approx(100.0, abs=0.11)


def test_a_restart_in_the_middle_begins_anew() -> None:
    given_up = messages(straight(60.0), finish=False)
    lap = record([*given_up, *messages(straight(100.0), began_s=10.0)])
    assert lap is not None
    assert lap.line.length_m == pytest.approx(100.0, abs=0.11)
    assert lap.seconds == pytest.approx((90 + 200) * FRAME_S)


def test_the_car_may_still_stand_elsewhere_when_the_distance_falls_to_zero() -> None:
    first = [(0.0, (900.0, 0.0, 0.0), 500.0, False), (0.1, (901.0, 0.0, 0.0), 0.0, False)]
    lap = record([*first, *messages(straight(), began_s=0.2)])
    assert lap is not None
    assert lap.line.start == (0.0, 0.0, 0.0)


def test_the_finish_of_the_race_before_is_no_finish() -> None:
    before = [(step * 0.1, (500.0, 0.0, 0.0), 0.0, True) for step in range(5)]
    assert record(before) is None
    recorder = LapRecorder("map")
    record(before, recorder)
    lap = record(messages(straight(), began_s=1.0), recorder)
    assert lap is None, "the distance never fell: nobody restarted"


def test_one_recorder_takes_several_laps() -> None:
    recorder = LapRecorder("map")
    first = record(messages(straight(100.0)), recorder)
    second = record(messages(straight(60.0), began_s=30.0), recorder)
    assert first is not None
    assert second is not None
    assert second.seconds < first.seconds


def test_waiting_leaves_no_zigzag() -> None:
    rng = np.random.default_rng(0)
    waiting = [(50.0 + dx, 0.0, dz) for dx, dz in rng.normal(0.0, 0.04, (600, 2)).tolist()]
    way = straight(50.0) + waiting + [(50.0 + step * 0.5, 0.0, 0.0) for step in range(101)]
    line = line_of("map", way)
    assert line.length_m == pytest.approx(100.0, abs=0.5)
    assert np.abs(line.points[:, 2]).max() < 0.2
    assert np.diff(line.points[:, 0]).min() > 0.0


@given(back_m=st.floats(0.5, 30.0), aside_m=st.floats(-0.4, 0.4))
def test_reversing_is_cut_off(back_m: float, aside_m: float) -> None:
    forth = straight(50.0)
    steps = round(back_m / 0.2)
    back = [(50.0 - back_m * step / steps, 0.0, aside_m) for step in range(1, steps + 1)]
    again = [(50.0 - back_m + step * 0.4, 0.0, 0.0) for step in range(round(back_m + 50.0) * 2)]
    line = line_of("map", forth + back + again)
    straight_m = line.points[-1, 0] - line.points[0, 0]
    assert line.length_m == pytest.approx(straight_m, abs=4.0)
    assert np.diff(line.points[:, 0]).min() > -0.11


def test_a_hairpin_and_a_bridge_are_kept() -> None:
    angle = np.linspace(0.0, math.pi, 60)
    bend = np.stack([50 + 8 * np.sin(angle), 0 * angle, 8 - 8 * np.cos(angle)], axis=1)
    way = straight(50.0) + [tuple(row) for row in bend.tolist()]
    way += [(50.0 - step * 0.5, 0.0, 16.0) for step in range(100)]
    length_m = 50.0 + 8 * math.pi + 49.5
    assert line_of("map", way).length_m == pytest.approx(length_m, abs=0.5)
    above = [(x, 6.0, z) for x, _, z in reversed(straight(50.0))]
    ramp = [(50.0 + step * 0.4, step * 0.3, 0.0) for step in range(20)]
    across = [*straight(50.0), *ramp, *[(57.6, 6.0, 0.0)], *above]
    assert line_of("map", across).length_m > 105.0


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (
            [*messages(straight(60.0), finish=False), (3.52, (90.0, 0.0, 0.0), 60.0, False)],
            "jumped by 30 m",
        ),
        (
            [*messages(straight(60.0), finish=False), (5.0, (90.0, 0.0, 0.0), 60.0, False)],
            "messages were missing for",
        ),
        (
            [*messages(straight(60.0), finish=False), (9.0, (60.0, 0.0, 0.0), 60.0, False)],
            "messages were missing for",
        ),
        (messages(straight(15.0)), "15.0 m"),
        (messages([(0.0, 0.0, 0.0)] * 500), "0.0 m"),
        (messages([*straight(60.0), (math.nan, 0.0, 0.0)]), "finite"),
    ],
)
def test_what_is_no_lap(stream: Iterable[Message], why: str) -> None:
    with pytest.raises(CorruptError, match=why):
        record(stream)


def test_after_a_refused_lap_the_next_one_counts() -> None:
    recorder = LapRecorder("map")
    with pytest.raises(CorruptError, match="respawn"):
        record([*messages(straight(60.0), finish=False), (3.52, (0, 0, 0), 60.0, False)], recorder)
    assert recorder.phase == "waiting"
    assert record(messages(straight(), began_s=20.0), recorder) is not None


@given(
    st.lists(
        st.tuples(*[st.floats(-60.0, 60.0, width=32)] * 3),
        max_size=60,
    )
)
def test_any_positions_give_a_checked_line_or_are_refused(positions: list[Position]) -> None:
    try:
        line = line_of("map", positions)
    except CorruptError:
        return
    assert line.length_m > 0.0


def test_no_positions() -> None:
    with pytest.raises(CorruptError, match="none"):
        line_of("map", [])
