"""Lap and split times from when messages arrived, worked out by hand."""

import numpy as np
import pytest

from actors.trackmania.lap_clock import LapClock, split_distances_m
from actors.trackmania.reward_line import RewardLine
from actors.trackmania.telemetry import Telemetry

FRAME_S = 1 / 60
LENGTH_M = 300.0


def message(x_m: float, *, distance_m: float | None = None, finished: bool = False) -> Telemetry:
    return Telemetry(
        speed_mps=0.0,
        distance_m=x_m if distance_m is None else distance_m,
        x=x_m,
        y=5.0,
        z=0.0,
        steer=0.0,
        gas=0.0,
        brake=0.0,
        finished=float(finished),
        gear=1.0,
        rpm=1000.0,
    )


@pytest.fixture
def clock() -> LapClock:
    x = np.arange(0.0, LENGTH_M + 0.05, 0.1)
    line = RewardLine("straight", np.column_stack([x, np.full(len(x), 5.0), np.zeros(len(x))]))
    clock = LapClock(countdown_s=1.5)
    clock.follow(line)
    return clock


def drive(clock: LapClock, *, from_s: float, mps: float, until_m: float) -> float:
    """Feeds a car of constant speed that starts at ``from_s``; returns when it was fed last."""
    x_m, now_s = 0.0, from_s
    while x_m < until_m:
        now_s += FRAME_S
        x_m += mps * FRAME_S
        clock.feed(message(x_m), now_s)
    return now_s


def test_a_lap_runs_from_the_end_of_the_countdown_to_the_first_finished_message(
    clock: LapClock,
) -> None:
    clock.feed(message(80.0), 99.99)
    clock.feed(message(80.0), 100.005)  # the press was at 100.0, the game answers a frame later
    clock.feed(message(0.0), 100.02)
    clock.restarted(100.0)
    assert clock.lap_time_ms is None
    drive(clock, from_s=101.52, mps=50.0, until_m=LENGTH_M - 1.0)
    clock.feed(message(LENGTH_M, finished=True), 107.54)
    clock.feed(message(LENGTH_M, finished=True), 107.56)
    assert clock.lap_time_ms == pytest.approx(1000.0 * (107.54 - 100.02 - 1.5))


def test_a_restart_in_the_countdown_counts_from_the_first_message_after_the_press(
    clock: LapClock,
) -> None:
    for frame in range(60):
        clock.feed(message(0.0), 10.0 + frame * FRAME_S)
    clock.restarted(10.5)
    clock.feed(message(LENGTH_M, finished=True), 20.0)
    seen_s = 10.0 + 30 * FRAME_S  # the thirtieth message arrives at 10.5
    assert clock.lap_time_ms == pytest.approx(1000.0 * (20.0 - seen_s - 1.5), abs=0.01)


def test_messages_that_came_before_the_call_count_too(clock: LapClock) -> None:
    clock.feed(message(200.0, finished=True), 4.99)
    clock.feed(message(0.0), 5.0)
    drive(clock, from_s=6.5, mps=100.0, until_m=160.0)
    clock.restarted(4.985)
    (split_ms,) = clock.split_times_ms
    assert split_ms == pytest.approx(1500.0, abs=20.0)


def test_a_flag_of_the_race_before_that_falls_late_is_no_finish(clock: LapClock) -> None:
    for frame in range(54):  # the flag stays up for 0.9 s after the press at 10.0
        clock.feed(message(LENGTH_M, finished=True), 10.0 + frame * FRAME_S)
    clock.feed(message(0.0), 10.9)
    clock.restarted(10.0)
    assert clock.lap_time_ms is None
    drive(clock, from_s=12.4, mps=50.0, until_m=LENGTH_M - 1.0)
    clock.feed(message(LENGTH_M, finished=True), 20.0)
    assert clock.lap_time_ms == pytest.approx(1000.0 * (20.0 - 10.9 - 1.5))


def test_a_flag_that_falls_only_after_the_call_starts_the_race_there(clock: LapClock) -> None:
    for frame in range(120):
        clock.feed(message(LENGTH_M, finished=True), 10.0 + frame * FRAME_S)
    clock.restarted(10.0)
    clock.feed(message(LENGTH_M, finished=True), 12.0)
    assert clock.lap_time_ms is None
    clock.feed(message(0.0), 12.5)
    clock.feed(message(LENGTH_M, finished=True), 24.0)
    assert clock.lap_time_ms == pytest.approx(1000.0 * (24.0 - 12.5 - 1.5))


def test_nobody_finishes_before_the_start(clock: LapClock) -> None:
    clock.feed(message(80.0), 9.99)
    clock.feed(message(0.0), 10.01)
    clock.restarted(10.0)
    clock.feed(message(1.0, finished=True), 11.0)  # the clock starts at 11.51
    assert clock.lap_time_ms is None
    clock.feed(message(LENGTH_M, finished=True), 21.51)
    assert clock.lap_time_ms == pytest.approx(10_000.0)


def test_a_press_that_is_stamped_late_costs_no_more_than_its_lateness(clock: LapClock) -> None:
    clock.feed(message(200.0, finished=True), 9.99)
    clock.feed(message(0.0), 10.0)
    clock.feed(message(0.0), 10.03)
    clock.restarted(10.02)
    clock.feed(message(LENGTH_M, finished=True), 30.0)
    assert clock.lap_time_ms == pytest.approx(1000.0 * (30.0 - 10.0 - 1.5), abs=30.0)


def test_splits_start_anew_with_each_race(clock: LapClock) -> None:
    clock.feed(message(10.0), 0.9)
    clock.feed(message(0.0), 1.0)
    clock.restarted(0.95)
    last_s = drive(clock, from_s=2.5, mps=50.0, until_m=151.0)
    assert clock.split_times_ms == pytest.approx([3000.0], abs=20.0)
    clock.feed(message(0.0), last_s + 0.1)
    clock.restarted(last_s + 0.05)
    assert clock.split_times_ms == ()
    assert clock.lap_time_ms is None


def test_splits_lie_about_150_m_apart_and_never_at_the_finish() -> None:
    assert split_distances_m(300.0) == (150.0,)
    assert split_distances_m(520.0) == pytest.approx((520 / 3, 1040 / 3))
    assert split_distances_m(20.0) == (10.0,)
