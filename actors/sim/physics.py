"""The physics of the simulated car: an arcade bicycle with gears, a grip limit, drift, grass and walls.

It ticks at 60 Hz. The in-process environment runs three ticks a step, the stand-in game one a frame.
Nothing here is random. The car is an array of ``STATE_SIZE`` numbers; speeds are in its own frame
(x forwards, y to the left), steering is positive to the right.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.sim.blocks import GRADE, HEIGHT, TANGENT_X, TANGENT_Y, WALL
from actors.sim.road import Road, project

TICK_S = 1.0 / 60.0

POS_X, POS_Y, HEADING, SPEED_X, SPEED_Y, YAW_RATE, STEER, GEAR, RPM = range(9)
SHIFT_S, TIME_S, LINE_ROW, OFFSET, ON_ROAD, NEXT_GATE, GAS, BRAKE, IMPACT, ELEVATION = range(9, 19)
STATE_SIZE = 19

ROAD_GRIP = 17.0
GRASS_GRIP = 6.5
GRAVITY = 9.81
TIGHTEST_CURVATURE = 0.186
HALF_CAR_M = 1.0
IDLE_RPM = 1000.0
TOP_RPM = 10500.0
GEAR_TOP_MPS = (7.0, 14.0, 25.0, 39.0, 54.0, 74.0)
GEAR_ACCELERATION = (5.0, 14.5, 12.5, 10.0, 7.6, 6.2)
TOP_GEAR = 5
STEER_RATE = 6.0
YAW_S = 0.10
SLIDE_S = 0.12
OVERSTEER, DRIFT_OVERSTEER = 1.12, 1.45
DRIFT_MPS = 12.0
SLIDE_RAD, CATCH_RAD = 0.12, 0.20
LAUNCH_MPS, LAUNCH_RPM = 3.0, 3500.0
REVERSING_MPS, REVERSE_TOP_MPS = -0.5, -6.0
GATE_MARGIN_M = 2.0


@njit(cache=True)
def _shift(state: NDArray[np.float64], speed: float) -> None:
    """Automatic gears: up near the limiter, down with a margin so that it does not hunt."""
    gear = int(state[GEAR])
    if speed < REVERSING_MPS:
        state[GEAR] = 0.0
    elif gear == 0:
        state[GEAR] = 1.0
    elif gear < TOP_GEAR and speed > 0.96 * GEAR_TOP_MPS[gear]:
        state[GEAR] = gear + 1.0
        state[SHIFT_S] = 0.1
    elif gear > 1 and speed < 0.78 * GEAR_TOP_MPS[gear - 1]:
        state[GEAR] = gear - 1.0
        state[SHIFT_S] = 0.05
    share = min(abs(speed) / GEAR_TOP_MPS[int(state[GEAR])], 1.0)
    wanted = IDLE_RPM + (TOP_RPM - IDLE_RPM) * share
    if state[GAS] > 0.0 and abs(speed) < LAUNCH_MPS:
        wanted = max(wanted, LAUNCH_RPM)
    state[RPM] += (wanted - state[RPM]) * 0.35
    state[SHIFT_S] = max(0.0, state[SHIFT_S] - TICK_S)


@njit(cache=True)
def _forward_acceleration(state: NDArray[np.float64], slope: float) -> float:
    """Engine, brakes, drag and gravity along the car, in m/s^2."""
    speed, gas, brake = state[SPEED_X], state[GAS], state[BRAKE]
    road = state[ON_ROAD] > 0.0
    total = -GRAVITY * slope
    if gas > 0.0 and state[SHIFT_S] <= 0.0:
        share = (state[RPM] - IDLE_RPM) / (TOP_RPM - IDLE_RPM)
        torque = 0.82 + 0.36 * share * (1.0 - share) * 2.0
        engine = gas * torque * GEAR_ACCELERATION[max(int(state[GEAR]), 1)]
        total += engine * (1.0 if road else 0.7) * (1.0 - 0.5 * brake)
    if brake > 0.0:
        if speed > 0.0:
            total -= min(brake * (21.0 if road else 8.0) * (1.0 - 0.5 * gas), speed / TICK_S)
        elif gas <= 0.0 and speed > REVERSE_TOP_MPS:
            total -= 5.0 * brake
    resistance = 0.3 + 0.001 * speed * speed
    if not road:
        resistance += 1.6 + 0.10 * abs(speed)
    return total - math.copysign(min(resistance, abs(speed) / TICK_S), speed)


@njit(cache=True)
def _corner(state: NDArray[np.float64]) -> None:
    """Steering, yaw and the sideways slide, with the grip limit that makes the car drift."""
    speed = state[SPEED_X]
    grip = ROAD_GRIP if state[ON_ROAD] > 0.0 else GRASS_GRIP
    slip = math.atan2(state[SPEED_Y], max(abs(speed), 2.0))
    hand_brake = state[GAS] > 0.0 and state[BRAKE] > 0.0 and speed > DRIFT_MPS
    oversteer = DRIFT_OVERSTEER if hand_brake else OVERSTEER
    lateral_grip = grip * (0.72 if hand_brake else math.sqrt(1.0 - 0.3 * state[BRAKE]))
    if abs(slip) > SLIDE_RAD:
        lateral_grip *= 0.9
    limit = min(abs(speed) * TIGHTEST_CURVATURE, oversteer * grip / max(abs(speed), 3.0))
    wanted = -state[STEER] * math.copysign(limit, speed)
    if abs(slip) > CATCH_RAD and wanted * slip < 0.0:
        wanted *= max(0.0, 1.0 - (abs(slip) - CATCH_RAD) / 0.5)
    state[YAW_RATE] += (wanted - state[YAW_RATE]) * (TICK_S / YAW_S)
    needed = speed * state[YAW_RATE] - state[SPEED_Y] / SLIDE_S
    side = min(max(needed, -lateral_grip), lateral_grip)
    state[SPEED_Y] += (side - speed * state[YAW_RATE]) * TICK_S
    state[HEADING] += state[YAW_RATE] * TICK_S


@njit(cache=True)
def _scrape(state: NDArray[np.float64], road: Road, row: int, offset: float, limit: float) -> None:
    """Push the car back inside the wall, bounce the speed into it, rub off speed along it."""
    tangent_x, tangent_y = road.line[row, TANGENT_X], road.line[row, TANGENT_Y]
    sign = math.copysign(1.0, offset)
    normal_x, normal_y = -tangent_y * sign, tangent_x * sign
    depth = abs(offset) - limit
    state[POS_X] -= normal_x * depth
    state[POS_Y] -= normal_y * depth
    cos, sin = math.cos(state[HEADING]), math.sin(state[HEADING])
    world_x = state[SPEED_X] * cos - state[SPEED_Y] * sin
    world_y = state[SPEED_X] * sin + state[SPEED_Y] * cos
    into = world_x * normal_x + world_y * normal_y
    if into > 0.0:
        along = (world_x * tangent_x + world_y * tangent_y) * max(0.4, 1.0 - 0.035 * into)
        along *= 0.985
        world_x = along * tangent_x - 0.25 * into * normal_x
        world_y = along * tangent_y - 0.25 * into * normal_y
        facing = cos * tangent_x + sin * tangent_y
        turn = math.copysign(1.0, facing) * (cos * tangent_y - sin * tangent_x)
        state[HEADING] += 0.2 * turn
        cos, sin = math.cos(state[HEADING]), math.sin(state[HEADING])
        state[SPEED_X] = world_x * cos + world_y * sin
        state[SPEED_Y] = -world_x * sin + world_y * cos
        state[IMPACT] = into
    state[OFFSET] = sign * limit


@njit(cache=True)
def _cross_gates(
    state: NDArray[np.float64],
    splits_s: NDArray[np.float64],
    road: Road,
    before_x: float,
    before_y: float,
) -> None:
    """Note the time, interpolated inside the tick, at which the next gate was crossed forwards."""
    gate = int(state[NEXT_GATE])
    if gate >= road.gates.shape[0]:
        return
    gate_x, gate_y, tangent_x, tangent_y = road.gates[gate]
    before = (before_x - gate_x) * tangent_x + (before_y - gate_y) * tangent_y
    after = (state[POS_X] - gate_x) * tangent_x + (state[POS_Y] - gate_y) * tangent_y
    if before >= 0.0 or after < 0.0:
        return
    part = before / (before - after)
    across_x = before_x + part * (state[POS_X] - before_x) - gate_x
    across_y = before_y + part * (state[POS_Y] - before_y) - gate_y
    if abs(across_y * tangent_x - across_x * tangent_y) <= road.half_width + GATE_MARGIN_M:
        splits_s[gate] = state[TIME_S] + part * TICK_S
        state[NEXT_GATE] = gate + 1.0


@njit(cache=True)
def locate(state: NDArray[np.float64], road: Road) -> None:
    """Refresh where the car is along the road (row, offset, surface, elevation); apply the walls.

    Args:
        state: the car, ``STATE_SIZE`` values; changed in place.
        road: the road it is on.
    """
    row, offset = project(road, state[POS_X], state[POS_Y])
    state[LINE_ROW], state[OFFSET] = row, offset
    state[ON_ROAD] = 1.0 if abs(offset) <= road.half_width else 0.0
    state[IMPACT] *= 0.9
    if row < 0:
        return
    state[ELEVATION] = road.line[row, HEIGHT]
    limit = road.half_width + 0.2 - HALF_CAR_M
    if road.line[row, WALL] > 0.0 and abs(offset) > limit:
        _scrape(state, road, row, offset, limit)


@njit(cache=True)
def _slope(state: NDArray[np.float64], road: Road) -> float:
    """Rise over run in the direction that the car faces."""
    row = int(state[LINE_ROW])
    if row < 0:
        return 0.0
    along = math.cos(state[HEADING]) * road.line[row, TANGENT_X]
    along += math.sin(state[HEADING]) * road.line[row, TANGENT_Y]
    return float(road.line[row, GRADE] * along)


@njit(cache=True)
def advance(
    state: NDArray[np.float64],
    splits_s: NDArray[np.float64],
    road: Road,
    controls: tuple[float, float, float],
    ticks: int,
) -> None:
    """Drive ``ticks`` sixtieths of a second with the controls held.

    Args:
        state: the car, ``STATE_SIZE`` values; changed in place.
        splits_s: crossing time of each gate in seconds, infinite until crossed; changed in place.
        road: the road.
        controls: gas (0 to 1), brake (0 to 1; reverses a car that stands), steer (-1 left to 1 right).
        ticks: physics ticks of 1/60 s.
    """
    state[GAS], state[BRAKE], steer = controls
    for _ in range(ticks):
        most = STEER_RATE * TICK_S
        state[STEER] += min(max(steer - state[STEER], -most), most)
        _shift(state, state[SPEED_X])
        forward = _forward_acceleration(state, _slope(state, road))
        forward += state[SPEED_Y] * state[YAW_RATE]
        _corner(state)
        state[SPEED_X] += forward * TICK_S
        cos, sin = math.cos(state[HEADING]), math.sin(state[HEADING])
        before_x, before_y = state[POS_X], state[POS_Y]
        state[POS_X] += (state[SPEED_X] * cos - state[SPEED_Y] * sin) * TICK_S
        state[POS_Y] += (state[SPEED_X] * sin + state[SPEED_Y] * cos) * TICK_S
        locate(state, road)
        _cross_gates(state, splits_s, road, before_x, before_y)
        state[TIME_S] += TICK_S
