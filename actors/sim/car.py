"""The simulated car: its state on a track, and the ticks that move it."""

from __future__ import annotations

import math

import numpy as np

from actors.sim.physics import (
    GEAR,
    HEADING,
    IDLE_RPM,
    NEXT_GATE,
    POS_X,
    POS_Y,
    RPM,
    SPEED_X,
    SPEED_Y,
    STATE_SIZE,
    advance,
    locate,
)
from actors.sim.track import Track


class Car:
    """One car on one track: its state, and the ticks that move it.

    Attributes:
        state: ``STATE_SIZE`` numbers indexed by the constants of ``actors.sim.physics`` (``POS_X`` ...).
        splits_s: crossing time of each gate in seconds, infinite until crossed.
    """

    def __init__(self, track: Track) -> None:
        """Puts a resting car at the start of ``track``."""
        self.track = track
        self.state = np.zeros(STATE_SIZE)
        self.splits_s = np.full(len(track.gates), np.inf)
        self._gate_count = len(track.gates)
        self._road = track.road
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
        locate(self.state, self._road)

    def drive(self, controls: tuple[float, float, float], ticks: int = 1) -> None:
        """Hold the controls for ``ticks`` sixtieths of a second.

        Args:
            controls: gas (0 to 1), brake (0 to 1), steer (-1 left to 1 right).
            ticks: physics ticks of 1/60 s.
        """
        advance(self.state, self.splits_s, self._road, controls, ticks)

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
