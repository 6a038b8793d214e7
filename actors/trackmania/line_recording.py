"""Turns one lap, as the telemetry shows it, into the reward line of the map.

A lap begins at a restart, where the driven distance falls to zero, and ends with the first message whose
finish flag is set. Where the car stood, reversed or span on the spot, the line does not follow it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actors.trackmania.reward_line import SPACING_M, RewardLine
from common.errors import CorruptError

Position = tuple[float, float, float]
Phase = Literal["waiting", "driving", "finished"]

SHORTEST_M = 20.0
_AT_START_M = 1.0
_JUMP_M = 10.0
_SLOW_S = 0.25
_LONGEST_SILENCE_S = 2.0
_STRIDE_M = 0.25
_DETOUR_M = 40.0
_DETOUR_SHARE = 0.6
_DETOUR_WITHIN_M = 1.0
_AGAIN = "restart the race and drive through to the finish without respawning"


@dataclass(frozen=True, slots=True)
class RecordedLap:
    """A lap and what it was made from.

    Attributes:
        line: the reward line.
        seconds: from the restart to the finish, the countdown included.
        messages: messages of telemetry.
        fastest_mps: highest speed.
    """

    line: RewardLine
    seconds: float
    messages: int
    fastest_mps: float


class LapRecorder:
    """Follows the telemetry until a lap is complete; a restart in the middle begins anew.

    Args:
        name: the map.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._forget("waiting")
        self._last_distance_m: float | None = None

    def _forget(self, phase: Phase) -> None:
        self.phase: Phase = phase
        self.driven_m = 0.0
        self._positions: list[Position] = []
        self._arrived_s: list[float] = []
        self._fastest_mps = 0.0

    def feed(
        self,
        *,
        arrived_s: float,
        position: Position,
        distance_m: float,
        speed_mps: float,
        finished: bool,
    ) -> RecordedLap | None:
        """Takes one message and returns the lap if it completes it.

        Args:
            arrived_s: when it came, on any steady clock.
            position: x, y (up), z, metres.
            distance_m: driven since the restart.
            speed_mps: metres a second.
            finished: whether the game shows the finish.

        Raises:
            CorruptError: the lap is no lap; the next restart begins another one.
        """
        last, self._last_distance_m = self._last_distance_m, distance_m
        restarted = distance_m < _AT_START_M and (last is None or last > distance_m + _AT_START_M)
        if restarted and not finished:
            self._forget("driving")
        if self.phase != "driving":
            return None
        self._append(arrived_s, position)
        self.driven_m = distance_m
        self._fastest_mps = max(self._fastest_mps, speed_mps)
        if not finished:
            return None
        self.phase = "finished"
        return RecordedLap(
            line=line_of(self._name, self._positions),
            seconds=self._arrived_s[-1] - self._arrived_s[0],
            messages=len(self._positions),
            fastest_mps=self._fastest_mps,
        )

    def _append(self, arrived_s: float, position: Position) -> None:
        """Keeps a position, or refuses the lap where it does not follow from the last one."""
        if self._positions:
            jump_m = math.dist(position, self._positions[-1])
            silence_s = arrived_s - self._arrived_s[-1]
            if jump_m > _JUMP_M and self.driven_m < _AT_START_M:
                self._forget("driving")
            elif jump_m > _JUMP_M or silence_s > _LONGEST_SILENCE_S:
                at_m = self.driven_m
                self._forget("waiting")
                raise _refused(
                    f"messages were missing for {silence_s:.2f} s, {at_m:.0f} m from the start"
                    if silence_s > _SLOW_S
                    else f"the car jumped by {jump_m:.0f} m, {at_m:.0f} m from the start "
                    "(a respawn, or another map)"
                )
        self._positions.append(position)
        self._arrived_s.append(arrived_s)


def line_of(name: str, positions: Sequence[Position] | NDArray[np.float64]) -> RewardLine:
    """Returns the reward line through the positions of one lap.

    Args:
        name: the map.
        positions: x, y, z in metres, in the order driven, at any spacing.

    Raises:
        CorruptError: they are not finite, or lead nowhere.
    """
    points = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    if not len(points):
        raise _no_line("there are none")
    if not np.isfinite(points).all():
        raise _no_line("some are not finite")
    way = _without_detours(points)
    length_m = float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())
    if length_m < SHORTEST_M:
        raise _no_line(f"they lead {length_m:.1f} m far; a lap has at least {SHORTEST_M:.0f} m")
    return RewardLine(name, _evenly_spaced(way))


def _without_detours(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leaves out where the car stood, and cuts off where it came back to a place it had just passed.

    A point comes back if it is much nearer to one of the last metres than the way between them was
    long; no bend that a car can drive does that.
    """
    kept = np.empty_like(points)
    along_m = np.zeros(len(points))
    count = 0
    for point in points:
        if count:
            stride_m = math.dist(point, kept[count - 1])
            if stride_m < _STRIDE_M:
                continue
            here_m = along_m[count - 1] + stride_m
            first = int(np.searchsorted(along_m[:count], here_m - _DETOUR_M))
            away_m = np.linalg.norm(kept[first:count] - point, axis=1)
            between_m = here_m - along_m[first:count]
            limit_m = np.minimum(_DETOUR_WITHIN_M, _DETOUR_SHARE * between_m)
            back = np.flatnonzero(away_m < limit_m)
            if len(back):
                count = first + int(back[0]) + 1
                continue
            along_m[count] = here_m
        kept[count] = point
        count += 1
    if math.dist(points[-1], kept[count - 1]) > 0.0:
        kept[count] = points[-1]
        count += 1
    return kept[:count]


def _evenly_spaced(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns points on the way, each 0.1 m from the last in a straight line, however sharp a bend is."""
    points = [way[0]]
    for begin, end in itertools.pairwise(way):
        while math.dist(points[-1], end) >= SPACING_M:
            points.append(_leaving(points[-1], begin, end))
    return np.array(points)


def _leaving(
    centre: NDArray[np.float64], begin: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns where the way from begin to end leaves the sphere of 0.1 m around a point, its last exit."""
    direction, offset = end - begin, begin - centre
    a = float(direction @ direction)
    b = float(direction @ offset)
    c = float(offset @ offset) - SPACING_M * SPACING_M
    share = (-b + math.sqrt(max(b * b - a * c, 0.0))) / a
    return begin + min(share, 1.0) * direction


def _refused(why: str) -> CorruptError:
    return CorruptError("The lap was not recorded.", why, _AGAIN)


def _no_line(why: str) -> CorruptError:
    return CorruptError("The positions make no reward line.", why, _AGAIN)
