"""A track: centre line, gates, start pose, and the validation that keeps every track drivable."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.sim.blocks import (
    CURVATURE,
    HEIGHT,
    POINT_SPACING_M,
    TANGENT_X,
    TANGENT_Y,
    Block,
    X,
    Y,
    end_pose,
    trace,
)
from actors.sim.road import CELL_M, Road, nearest_grid
from common.errors import ConfigError

LEAD_IN_M = 24.0
RUN_OFF_M = 64.0
CHECKPOINT_EVERY_M = 150.0
MARGIN_M = 48.0
CLOSURE_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Track:
    """A road to race on; immutable, shared by car, camera and environment.

    Attributes:
        name: the name that loads it.
        line: rows of x, y, tangent, height, grade, curvature, wall, one each 0.1 m, with a lead-in
            before the start and a run-off behind the finish (neither on a lap).
        start_index: row of ``line`` at the start.
        course_points: rows between start and finish.
        width_m: width of the road.
        closed: whether the line is a lap, whose finish is its start.
        gates: rows of x, y, tangent x, tangent y; the checkpoints in order, then the finish.
        gate_distances_m: distance of each gate from the start.
        origin: x and y of the south-west corner of the map.
        extent_m: width and height of the map.
        nearest: row of ``line`` nearest to each 2 m cell of the map, -1 where none is near.
    """

    name: str
    line: NDArray[np.float64]
    start_index: int
    course_points: int
    width_m: float
    closed: bool
    gates: NDArray[np.float64]
    gate_distances_m: tuple[float, ...]
    origin: tuple[float, float]
    extent_m: tuple[float, float]
    nearest: NDArray[np.int32]

    @property
    def length_m(self) -> float:
        """Distance from start to finish along the centre line, in metres."""
        return self.course_points * POINT_SPACING_M

    @property
    def start_pose(self) -> tuple[float, float, float]:
        """x, y and heading (rad) of the car at the start."""
        row = self.line[self.start_index]
        return float(row[X]), float(row[Y]), math.atan2(row[TANGENT_Y], row[TANGENT_X])

    @property
    def checkpoints(self) -> NDArray[np.float64]:
        """The gates before the finish: rows of x, y, tangent x, tangent y."""
        return self.gates[:-1]

    @property
    def reward_line(self) -> NDArray[np.float64]:
        """The reference trajectory for the progress reward: rows of x, y, height, one each 0.1 m."""
        rows = np.arange(self.start_index, self.start_index + self.course_points + 1)
        return np.ascontiguousarray(self.line[rows % len(self.line)][:, [X, Y, HEIGHT]])

    @property
    def road(self) -> Road:
        """What the compiled functions need of this track."""
        return Road(
            line=self.line,
            closed=self.closed,
            nearest=self.nearest,
            origin_x=self.origin[0],
            origin_y=self.origin[1],
            half_width=self.width_m / 2,
            gates=self.gates,
        )

    @property
    def content_hash(self) -> str:
        """SHA-256 of what the track is (line to the millimetre, width, gates), whatever its name."""
        digest = hashlib.sha256()
        for part in (self.line, self.gates):
            digest.update(np.round(part * 1000.0).astype("<i8").tobytes())
        digest.update(f"{self.width_m:.3f} {self.start_index} {self.course_points}".encode())
        return digest.hexdigest()

    def check_valid(self) -> None:
        """Raise ConfigError if the road pinches, meets itself, or a lap does not close."""
        _check_radii(self)
        _check_closure(self)
        _check_overlap(self)


def build_track(
    name: str, blocks: Sequence[Block], width_m: float = 16.0, *, closed: bool = False
) -> Track:
    """A validated track from a row of blocks.

    Args:
        name: what errors and pictures call it.
        blocks: the blocks from start to finish.
        width_m: width of the road.
        closed: whether the blocks form a lap.

    Raises:
        ConfigError: the road pinches, meets itself, or a lap does not close.
    """
    lead = () if closed else (Block(LEAD_IN_M, grade=0.0),)
    tail = () if closed else (Block(RUN_OFF_M, walled=blocks[-1].walled),)
    line = trace([*lead, *blocks, *tail])
    start_index = round(sum(block.length_m for block in lead) / POINT_SPACING_M)
    course_points = round(sum(block.length_m for block in blocks) / POINT_SPACING_M)
    if closed:
        course_points = len(line)
    distances = _gate_distances(course_points * POINT_SPACING_M)
    rows = [(start_index + round(d / POINT_SPACING_M)) % len(line) for d in distances]
    low = line[:, [X, Y]].min(axis=0) - MARGIN_M
    high = line[:, [X, Y]].max(axis=0) + MARGIN_M
    cells = np.ceil((high - low) / CELL_M).astype(int)
    track = Track(
        name=name,
        line=line,
        start_index=start_index,
        course_points=course_points,
        width_m=width_m,
        closed=closed,
        gates=np.ascontiguousarray(line[rows][:, [X, Y, TANGENT_X, TANGENT_Y]]),
        gate_distances_m=tuple(distances),
        origin=(float(low[0]), float(low[1])),
        extent_m=(float(cells[0] * CELL_M), float(cells[1] * CELL_M)),
        nearest=nearest_grid(line, float(low[0]), float(low[1]), int(cells[1]), int(cells[0])),
    )
    track.check_valid()
    for array in (track.line, track.gates, track.nearest):
        array.setflags(write=False)
    if closed:
        _check_end(track, blocks)
    return track


def _gate_distances(length_m: float) -> list[float]:
    """Distances of the checkpoints, evenly spread about 150 m apart, and of the finish."""
    legs = max(2, round(length_m / CHECKPOINT_EVERY_M))
    return [length_m * (leg + 1) / legs for leg in range(legs)]


def _refuse(track: Track, why: str, fix: str) -> ConfigError:
    return ConfigError(what=f"track {track.name!r} cannot be built", why=why, fix=fix)


def _check_radii(track: Track) -> None:
    tightest = float(np.abs(track.line[:, CURVATURE]).max())
    if tightest > 0.0 and 1.0 / tightest < track.width_m / 2 + 4.0:
        raise _refuse(
            track,
            why=f"a curve of radius {1.0 / tightest:.1f} m pinches a road {track.width_m:.1f} m wide",
            fix=f"use radii of at least {track.width_m / 2 + 4.0:.1f} m",
        )


def _check_overlap(track: Track) -> None:
    """Compare every 2 m of road with every other stretch that is not its own neighbour."""
    stride = 20
    points = track.line[::stride, [X, Y]]
    clearance = track.width_m + 4.0
    gap = np.abs(np.subtract.outer(np.arange(len(points)), np.arange(len(points))))
    if track.closed:
        gap = np.minimum(gap, len(points) - gap)
    apart = np.hypot(*(np.subtract.outer(points[:, axis], points[:, axis]) for axis in (0, 1)))
    far_along = gap * stride * POINT_SPACING_M > 1.6 * clearance
    clash = np.argwhere(far_along & (apart < clearance))
    if len(clash):
        first, second = (int(row) * stride * POINT_SPACING_M for row in clash[0])
        raise _refuse(
            track,
            why=f"the road at {first:.0f} m comes within {clearance:.0f} m of itself at {second:.0f} m",
            fix="lengthen a straight or change a curve between the two",
        )


def _check_closure(track: Track) -> None:
    if not track.closed:
        return
    gap = math.hypot(*(track.line[-1, [X, Y]] - track.line[0, [X, Y]]))
    if gap > 3 * POINT_SPACING_M:
        raise _refuse(track, why=f"the lap ends {gap:.2f} m from its start", fix="close the lap")


def _check_end(track: Track, blocks: Sequence[Block]) -> None:
    heading, height = end_pose(blocks)[2:]
    turned = math.remainder(heading, 2 * math.pi)
    if max(abs(turned), abs(height)) > CLOSURE_TOLERANCE:
        raise _refuse(
            track,
            why=f"the lap ends turned by {math.degrees(turned):.1f} degrees and {height:.2f} m high",
            fix="make the turning angles sum to 360 degrees and the climbs to zero",
        )
