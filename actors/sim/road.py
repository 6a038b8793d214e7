"""Where a point lies along a centre line: a coarse map of nearest rows, then a projection onto the tangent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.sim.blocks import POINT_SPACING_M, TANGENT_X, TANGENT_Y, X, Y

CELL_M = 2.0
REACH_M = 44.0
_STRIDE = 5
_CORRECTIONS = 6


class Road(NamedTuple):
    """What the compiled functions need to know of a track.

    Attributes:
        line: centre line, a row each 0.1 m, columns as in ``actors.sim.blocks``.
        closed: whether the line is a lap.
        nearest: row of ``line`` nearest to each cell of the map, -1 where none is near.
        origin_x: west edge of the map, in metres.
        origin_y: south edge of the map, in metres.
        half_width: half the road's width, in metres.
        gates: rows of x, y, tangent x, tangent y; the checkpoints in order, then the finish.
    """

    line: NDArray[np.float64]
    closed: bool
    nearest: NDArray[np.int32]
    origin_x: float
    origin_y: float
    half_width: float
    gates: NDArray[np.float64]


@njit(cache=True)
def nearest_grid(
    line: NDArray[np.float64], origin_x: float, origin_y: float, rows: int, columns: int
) -> NDArray[np.int32]:
    """Row of ``line`` nearest to the centre of each cell; -1 where the line is farther than 44 m.

    Args:
        line: centre line, a row each 0.1 m.
        origin_x: west edge of the map, in metres.
        origin_y: south edge of the map, in metres.
        rows: cells from south to north.
        columns: cells from west to east.
    """
    best = np.full((rows, columns), REACH_M * REACH_M)
    owner = np.full((rows, columns), -1, dtype=np.int32)
    reach = int(REACH_M / CELL_M) + 1
    for index in range(0, line.shape[0], _STRIDE):
        column = int((line[index, X] - origin_x) / CELL_M)
        row = int((line[index, Y] - origin_y) / CELL_M)
        for r in range(max(0, row - reach), min(rows, row + reach + 1)):
            dy = origin_y + (r + 0.5) * CELL_M - line[index, Y]
            for c in range(max(0, column - reach), min(columns, column + reach + 1)):
                dx = origin_x + (c + 0.5) * CELL_M - line[index, X]
                squared = dx * dx + dy * dy
                if squared < best[r, c]:
                    best[r, c] = squared
                    owner[r, c] = index
    return owner


@njit(cache=True)
def project(road: Road, x: float, y: float) -> tuple[int, float]:
    """Nearest row of the line and the signed distance from it (metres, positive to the left).

    A point beyond the reach of the map gives (-1, 1e9).

    Args:
        road: the road.
        x: metres to the east.
        y: metres to the north.
    """
    row = int(np.floor((y - road.origin_y) / CELL_M))
    column = int(np.floor((x - road.origin_x) / CELL_M))
    if row < 0 or column < 0 or row >= road.nearest.shape[0] or column >= road.nearest.shape[1]:
        return -1, 1e9
    index = int(road.nearest[row, column])
    if index < 0:
        return -1, 1e9
    line = road.line
    count = line.shape[0]
    for _ in range(_CORRECTIONS):
        dx, dy = x - line[index, X], y - line[index, Y]
        along = dx * line[index, TANGENT_X] + dy * line[index, TANGENT_Y]
        ahead = index + int(np.round(along / POINT_SPACING_M))
        if road.closed:
            ahead %= count
        ahead = min(max(ahead, 0), count - 1)
        if ahead == index:
            break
        index = ahead
    dx, dy = x - line[index, X], y - line[index, Y]
    across = dy * line[index, TANGENT_X] - dx * line[index, TANGENT_Y]
    if not road.closed and (index in (0, count - 1)):
        across = np.copysign(np.hypot(dx, dy), across)
    return index, across
