"""Road blocks, and the centre line that a row of them draws.

Axes: x to the east, y to the north, headings counter-clockwise from x, heights upward. A positive
curvature turns left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

POINT_SPACING_M = 0.1
BLOCK_M = 32.0

X, Y, TANGENT_X, TANGENT_Y, HEIGHT, GRADE, CURVATURE, WALL = range(8)
LINE_COLUMNS = 8


@dataclass(frozen=True)
class Block:
    """A stretch of road of constant curvature and slope.

    Attributes:
        length_m: length of the centre line, in metres.
        curvature: 1 / radius in 1/m, positive to the left, 0 for a straight.
        grade: rise over run along the road; 0.1 climbs 1 m every 10 m.
        walled: whether walls stand along both edges.
    """

    length_m: float
    curvature: float = 0.0
    grade: float = 0.0
    walled: bool = False


def straight(blocks: float = 1.0, grade: float = 0.0) -> Block:
    """A straight of ``blocks`` times 32 m that climbs by ``grade``."""
    return Block(blocks * BLOCK_M, 0.0, grade)


def left(radius_m: float, angle_deg: float = 90.0, grade: float = 0.0) -> Block:
    """A left-hand curve of the given centre-line radius and turning angle."""
    return Block(radius_m * math.radians(angle_deg), 1.0 / radius_m, grade)


def right(radius_m: float, angle_deg: float = 90.0, grade: float = 0.0) -> Block:
    """A right-hand curve of the given centre-line radius and turning angle."""
    return Block(radius_m * math.radians(angle_deg), -1.0 / radius_m, grade)


def chicane(radius_m: float, angle_deg: float = 45.0) -> tuple[Block, ...]:
    """A left-right-right-left weave that ends on the line it began on."""
    one, other = left(radius_m, angle_deg), right(radius_m, angle_deg)
    return (one, other, other, one)


def walled(*blocks: Block) -> tuple[Block, ...]:
    """The same blocks with walls along both edges."""
    return tuple(replace(block, walled=True) for block in blocks)


def trace(blocks: Sequence[Block], heading_rad: float = 0.0) -> NDArray[np.float64]:
    """The centre line of a row of blocks, a point each 0.1 m of the ground plan, beginning at (0, 0).

    Headings and positions are integrated exactly over each stretch of constant curvature, so that
    a lap whose blocks close on paper closes in the line too.

    Args:
        blocks: the blocks in driving order.
        heading_rad: heading at the first point.

    Returns:
        Rows of ``LINE_COLUMNS`` values: x, y, unit tangent, height, grade, curvature, wall (0 or 1).
    """
    ends = np.cumsum([block.length_m for block in blocks])
    distance = np.arange(0.0, ends[-1] - POINT_SPACING_M / 2, POINT_SPACING_M)
    owner = np.minimum(np.searchsorted(ends, distance, side="right"), len(blocks) - 1)
    line = np.empty((distance.size, LINE_COLUMNS))
    pose = (0.0, 0.0, heading_rad, 0.0)
    for index, block in enumerate(blocks):
        rows = owner == index
        along = distance[rows] - (ends[index] - block.length_m)
        x, y, heading = _arc(pose, block.curvature, along)
        line[rows, X], line[rows, Y] = x, y
        line[rows, TANGENT_X], line[rows, TANGENT_Y] = np.cos(heading), np.sin(heading)
        line[rows, HEIGHT] = pose[3] + block.grade * along
        line[rows, GRADE], line[rows, CURVATURE] = block.grade, block.curvature
        line[rows, WALL] = float(block.walled)
        end_x, end_y, end_heading = _arc(pose, block.curvature, np.array([block.length_m]))
        pose = (
            float(end_x[0]),
            float(end_y[0]),
            float(end_heading[0]),
            pose[3] + block.grade * block.length_m,
        )
    return line


def _arc(
    pose: tuple[float, float, float, float], curvature: float, along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Positions and headings at distances ``along`` an arc that begins at ``pose``."""
    x, y, heading, _ = pose
    turned = heading + curvature * along
    if curvature == 0.0:
        return x + along * math.cos(heading), y + along * math.sin(heading), turned
    return (
        x + (np.sin(turned) - math.sin(heading)) / curvature,
        y - (np.cos(turned) - math.cos(heading)) / curvature,
        turned,
    )


def end_pose(
    blocks: Sequence[Block], heading_rad: float = 0.0
) -> tuple[float, float, float, float]:
    """Where a row of blocks that starts at (0, 0) ends: x, y, heading and height."""
    pose = (0.0, 0.0, heading_rad, 0.0)
    for block in blocks:
        x, y, heading = _arc(pose, block.curvature, np.array([block.length_m]))
        pose = (
            float(x[0]),
            float(y[0]),
            float(heading[0]),
            pose[3] + block.grade * block.length_m,
        )
    return pose
