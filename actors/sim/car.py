"""The simulated car: an arcade bicycle with five gears, a grip limit, drift, grass, walls and slopes.

The physics ticks at 60 Hz. The in-process environment runs three ticks a step; the stand-in game
runs one a frame; both drive the same car. Nothing here is random.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.sim.blocks import (
    GRADE,
    HEIGHT,
    TANGENT_X,
    TANGENT_Y,
    WALL,
    X,
    Y,
)
from actors.sim.nearest import project
from actors.sim.track import Track

TICK_S = 1.0 / 60.0

POS_X, POS_Y, HEADING, SPEED_X, SPEED_Y, YAW_RATE, STEER, GEAR, RPM = range(9)
SHIFT_S, TIME_S, LINE_ROW, OFFSET, ON_ROAD, NEXT_GATE, GAS, BRAKE, IMPACT, ELEVATION = range(9, 19)
STATE_SIZE = 19

ROAD_GRIP = 17.0
GRASS_GRIP = 6.5
GRAVITY = 9.81
WHEELBASE_M = 2.6
HALF_CAR_M = 1.0
IDLE_RPM = 1000.0
TOP_RPM = 10500.0
GEAR_TOP_MPS = (7.0, 14.0, 25.0, 39.0, 54.0, 74.0)
GEAR_ACCELERATION = (5.0, 14.5, 12.5, 10.0, 7.6, 6.2)


@njit(cache=True)
def _shift(state: NDArray[np.float64], speed: float) -> None:
    """Automatic gears: up near the limiter, down with a margin so that it does not hunt."""
    gear = int(state[GEAR])
    if speed < -0.5:
        state[GEAR] = 0.0
    elif gear == 0:
        state[GEAR] = 1.0
    elif gear < 5 and speed > 0.96 * GEAR_TOP_MPS[gear]:
        state[GEAR] = gear + 1.0
        state[SHIFT_S] = 0.1
    elif gear > 1 and speed < 0.78 * GEAR_TOP_MPS[gear - 1]:
        state[GEAR] = gear - 1.0
        state[SHIFT_S] = 0.05
    share = min(abs(speed) / GEAR_TOP_MPS[int(state[GEAR])], 1.0)
    wanted = IDLE_RPM + (TOP_RPM - IDLE_RPM) * share
    if state[GAS] > 0.0 and abs(speed) < 3.0:
        wanted = max(wanted, 3500.0)
    state[RPM] += (wanted - state[RPM]) * 0.35
    state[SHIFT_S] = max(0.0, state[SHIFT_S] - TICK_S)


@njit(cache=True)
def _forward_acceleration(state: NDArray[np.float64], slope: float) -> float:
    """Engine, brakes, drag and gravity along the car, in m/s^2."""
    speed, gas, brake = state[SPEED_X], state[GAS], state[BRAKE]
    road = state[ON_ROAD] > 0.5
    total = -GRAVITY * slope
    if gas > 0.0 and state[SHIFT_S] <= 0.0:
        share = (state[RPM] - IDLE_RPM) / (TOP_RPM - IDLE_RPM)
        torque = 0.82 + 0.36 * share * (1.0 - share) * 2.0
        engine = gas * torque * GEAR_ACCELERATION[max(int(state[GEAR]), 1)]
        total += engine * (1.0 if road else 0.7) * (1.0 - 0.5 * brake)
    if brake > 0.0:
        if speed > 0.0:
            total -= min(brake * (21.0 if road else 8.0) * (1.0 - 0.5 * gas), speed / TICK_S)
        elif gas <= 0.0 and speed > -6.0:
            total -= 5.0 * brake
    resistance = 0.3 + 0.001 * speed * speed
    if not road:
        resistance += 1.6 + 0.10 * abs(speed)
    return total - math.copysign(min(resistance, abs(speed) / TICK_S), speed)


@njit(cache=True)
def _corner(state: NDArray[np.float64]) -> None:
    """Steering, yaw and the sideways slide, with the grip limit that makes the car drift."""
    speed = state[SPEED_X]
    grip = ROAD_GRIP if state[ON_ROAD] > 0.5 else GRASS_GRIP
    slip = math.atan2(state[SPEED_Y], max(abs(speed), 2.0))
    hand_brake = state[GAS] > 0.0 and state[BRAKE] > 0.0 and speed > 12.0
    oversteer = 1.45 if hand_brake else 1.12
    lateral_grip = grip * (0.72 if hand_brake else math.sqrt(1.0 - 0.3 * state[BRAKE]))
    if abs(slip) > 0.12:
        lateral_grip *= 0.9
    limit = min(abs(speed) * math.tan(0.45) / WHEELBASE_M, oversteer * grip / max(abs(speed), 3.0))
    wanted = -state[STEER] * math.copysign(limit, speed)
    if abs(slip) > 0.2 and wanted * slip < 0.0:
        wanted *= max(0.0, 1.0 - (abs(slip) - 0.2) / 0.5)
    state[YAW_RATE] += (wanted - state[YAW_RATE]) * (TICK_S / 0.10)
    needed = speed * state[YAW_RATE] - state[SPEED_Y] / 0.12
    side = min(max(needed, -lateral_grip), lateral_grip)
    state[SPEED_Y] += (side - speed * state[YAW_RATE]) * TICK_S
    state[HEADING] += state[YAW_RATE] * TICK_S


@njit(cache=True)
def _scrape(
    state: NDArray[np.float64], line: NDArray[np.float64], row: int, offset: float, limit: float
) -> None:
    """Push the car back inside the wall, bounce the speed into it, rub off speed along it."""
    tangent_x, tangent_y = line[row, TANGENT_X], line[row, TANGENT_Y]
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
    gates: NDArray[np.float64],
    splits_s: NDArray[np.float64],
    reach: float,
    before_x: float,
    before_y: float,
) -> None:
    """Note the time, interpolated inside the tick, at which the next gate was crossed forwards."""
    gate = int(state[NEXT_GATE])
    if gate >= gates.shape[0]:
        return
    gate_x, gate_y, tangent_x, tangent_y = gates[gate]
    before = (before_x - gate_x) * tangent_x + (before_y - gate_y) * tangent_y
    after = (state[POS_X] - gate_x) * tangent_x + (state[POS_Y] - gate_y) * tangent_y
    if before >= 0.0 or after < 0.0:
        return
    part = before / (before - after)
    across_x = before_x + part * (state[POS_X] - before_x) - gate_x
    across_y = before_y + part * (state[POS_Y] - before_y) - gate_y
    if abs(across_y * tangent_x - across_x * tangent_y) <= reach:
        splits_s[gate] = state[TIME_S] + part * TICK_S
        state[NEXT_GATE] = gate + 1.0


@njit(cache=True)
def locate(
    state: NDArray[np.float64],
    line: NDArray[np.float64],
    closed: bool,
    nearest: NDArray[np.int32],
    origin_x: float,
    origin_y: float,
    half_width: float,
) -> None:
    """Refresh where the car is along the road: row, offset, surface, elevation; apply the walls."""
    row, offset = project(line, closed, nearest, origin_x, origin_y, state[POS_X], state[POS_Y])
    state[LINE_ROW], state[OFFSET] = row, offset
    state[ON_ROAD] = 1.0 if abs(offset) <= half_width else 0.0
    state[IMPACT] *= 0.9
    if row < 0:
        return
    state[ELEVATION] = line[row, HEIGHT]
    limit = half_width + 0.2 - HALF_CAR_M
    if line[row, WALL] > 0.5 and abs(offset) > limit:
        _scrape(state, line, row, offset, limit)


@njit(cache=True)
def advance(
    state: NDArray[np.float64],
    splits_s: NDArray[np.float64],
    gas: float,
    brake: float,
    steer: float,
    ticks: int,
    line: NDArray[np.float64],
    closed: bool,
    nearest: NDArray[np.int32],
    origin_x: float,
    origin_y: float,
    half_width: float,
    gates: NDArray[np.float64],
) -> None:
    """Drive ``ticks`` sixtieths of a second with the controls held; changes ``state`` and ``splits_s``.

    Args:
        state: the car, ``STATE_SIZE`` values.
        splits_s: crossing time of each gate in seconds, infinite until crossed.
        gas: accelerator, 0 to 1.
        brake: brake, 0 to 1; reverses a car that stands.
        steer: -1 (left) to 1 (right).
        ticks: how many physics ticks.
        line: centre line of the track.
        closed: whether the line is a lap.
        nearest: coarse map of nearest rows.
        origin_x: west edge of that map.
        origin_y: south edge of that map.
        half_width: half the road's width, in metres.
        gates: checkpoints in order, then the finish.
    """
    state[GAS], state[BRAKE] = gas, brake
    for _ in range(ticks):
        change = min(max(steer - state[STEER], -6.0 * TICK_S), 6.0 * TICK_S)
        state[STEER] += change
        row = int(state[LINE_ROW])
        slope = 0.0
        if row >= 0:
            facing = (
                math.cos(state[HEADING]) * line[row, TANGENT_X]
                + math.sin(state[HEADING]) * line[row, TANGENT_Y]
            )
            slope = line[row, GRADE] * facing
        _shift(state, state[SPEED_X])
        forward = _forward_acceleration(state, slope)
        forward += state[SPEED_Y] * state[YAW_RATE]
        _corner(state)
        state[SPEED_X] += forward * TICK_S
        cos, sin = math.cos(state[HEADING]), math.sin(state[HEADING])
        before_x, before_y = state[POS_X], state[POS_Y]
        state[POS_X] += (state[SPEED_X] * cos - state[SPEED_Y] * sin) * TICK_S
        state[POS_Y] += (state[SPEED_X] * sin + state[SPEED_Y] * cos) * TICK_S
        locate(state, line, closed, nearest, origin_x, origin_y, half_width)
        _cross_gates(state, gates, splits_s, half_width + 2.0, before_x, before_y)
        state[TIME_S] += TICK_S


class Car:
    """One car on one track: its state, and the ticks that move it.

    Attributes:
        state: ``STATE_SIZE`` numbers indexed by this module's constants (``POS_X``, ``SPEED_X`` ...).
        splits_s: crossing time of each gate in seconds, infinite until crossed.
    """

    def __init__(self, track: Track) -> None:
        """Puts a resting car at the start of ``track``."""
        self.track = track
        self.state = np.zeros(STATE_SIZE)
        self.splits_s = np.full(len(track.gates), np.inf)
        self._gate_count = len(track.gates)
        self._road = (
            track.line,
            track.closed,
            track.nearest,
            track.origin[0],
            track.origin[1],
            track.width_m / 2,
        )
        self.place()

    def place(
        self, lateral_m: float = 0.0, heading_offset_rad: float = 0.0, speed_mps: float = 0.0
    ) -> None:
        """Put the car at the start line with a fresh clock.

        Args:
            lateral_m: offset to the left of the centre line.
            heading_offset_rad: turn to the left of the road's heading.
            speed_mps: forward speed.
        """
        x, y, heading = self.track.start_pose
        self.state[:] = 0.0
        self.splits_s[:] = np.inf
        self.state[POS_X] = x - lateral_m * math.sin(heading)
        self.state[POS_Y] = y + lateral_m * math.cos(heading)
        self.state[HEADING] = heading + heading_offset_rad
        self.state[SPEED_X] = speed_mps
        self.state[GEAR] = 1.0
        self.state[RPM] = IDLE_RPM
        locate(self.state, *self._road)

    def drive(self, gas: float, brake: float, steer: float, ticks: int = 1) -> None:
        """Hold the controls for ``ticks`` sixtieths of a second.

        Args:
            gas: accelerator, 0 to 1.
            brake: brake, 0 to 1.
            steer: -1 (left) to 1 (right).
            ticks: physics ticks of 1/60 s.
        """
        advance(self.state, self.splits_s, gas, brake, steer, ticks, *self._road, self.track.gates)

    @property
    def speed_mps(self) -> float:
        """Speed over the ground, in m/s."""
        return math.hypot(self.state[SPEED_X], self.state[SPEED_Y])

    @property
    def gates_passed(self) -> int:
        """How many gates (checkpoints, then the finish) have been crossed in order."""
        return int(self.state[NEXT_GATE])

    @property
    def finished(self) -> bool:
        """Whether the finish has been crossed."""
        return self.gates_passed == self._gate_count

    @property
    def lap_time_ms(self) -> int | None:
        """Time from start to finish in milliseconds, interpolated inside the tick; None before."""
        return round(self.splits_s[-1] * 1000.0) if self.finished else None

    @property
    def split_times_ms(self) -> tuple[int, ...]:
        """Crossing times of the checkpoints passed so far, in milliseconds."""
        passed = min(self.gates_passed, self._gate_count - 1)
        return tuple(round(float(split) * 1000.0) for split in self.splits_s[:passed])
