"""A pilot that sees the map: it steers along the centre line and brakes for curves.

It records reward lines, drives demonstrations, and proves in the tests that each track can be finished.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from actors.sim.blocks import CURVATURE, POINT_SPACING_M, X, Y
from actors.sim.car import Car
from actors.sim.physics import (
    HEADING,
    LINE_ROW,
    OVERSTEER,
    POS_X,
    POS_Y,
    ROAD_GRIP,
    SPEED_X,
    TIGHTEST_CURVATURE,
)

BRAKING = 9.0
_STRIDE = 20


class Pilot:
    """Drives one car by the geometry of its track.

    Attributes:
        daring: share of the road's grip that it plans to use in curves, 0 to 1.
    """

    def __init__(self, car: Car, daring: float = 0.7) -> None:
        """Plans the speed along the whole track.

        Args:
            car: the car to drive.
            daring: share of the road's grip to use in curves.
        """
        self.daring = daring
        self._car = car
        self._line = car.track.line
        self._debt = 0.0
        curve = np.maximum(np.abs(self._line[::_STRIDE, CURVATURE]), 1e-4)
        plan = np.sqrt(daring * ROAD_GRIP / curve)
        laps = 2 if car.track.closed else 1
        for _ in range(laps):
            for index in range(len(plan) - 1, -1, -1):
                following = (index + 1) % len(plan) if car.track.closed else index + 1
                ahead = plan[min(following, len(plan) - 1)]
                braked = math.sqrt(ahead**2 + 2 * BRAKING * POINT_SPACING_M * _STRIDE)
                plan[index] = min(plan[index], braked)
        self._plan = plan

    def controls(self) -> tuple[float, float, float]:
        """Gas, brake and steer for the car as it stands now."""
        state, line = self._car.state, self._line
        speed = max(state[SPEED_X], 0.0)
        row = max(int(state[LINE_ROW]), 0)
        ahead = row + int(10 * (6.0 + 0.35 * speed))
        count = len(line)
        ahead = ahead % count if self._car.track.closed else min(ahead, count - 1)
        bearing = math.atan2(line[ahead, Y] - state[POS_Y], line[ahead, X] - state[POS_X])
        error = math.remainder(bearing - state[HEADING], 2 * math.pi)
        distance = math.hypot(line[ahead, Y] - state[POS_Y], line[ahead, X] - state[POS_X])
        wanted_yaw = 2.0 * speed * math.sin(error) / max(distance, 1.0)
        limit = min(speed * TIGHTEST_CURVATURE, OVERSTEER * ROAD_GRIP / max(speed, 3.0))
        steer = -wanted_yaw / max(limit, 0.05)
        if abs(error) > math.pi / 2:
            steer = math.copysign(1.0, -error)
        target = float(self._plan[(row + int(2.0 * speed)) // _STRIDE % len(self._plan)])
        gas = 1.0 if speed < target else 0.0
        brake = 1.0 if speed > target + 2.0 else 0.0
        return gas, brake, min(max(steer, -1.0), 1.0)

    def choose(self, action_table: Sequence[tuple[float, float, float]]) -> int:
        """The row of an action table closest to what the pilot wants, its steering errors carried over.

        Args:
            action_table: rows of gas, brake, steer.
        """
        gas, brake, steer = self.controls()
        wanted = min(max(steer + self._debt, -1.5), 1.5)
        costs = [
            abs(row[2] - wanted) + 0.25 * abs(row[0] - gas) + 1.0 * abs(row[1] - brake)
            for row in action_table
        ]
        best = int(np.argmin(costs))
        self._debt = min(max(wanted - action_table[best][2], -0.6), 0.6)
        return best
