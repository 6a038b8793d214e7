"""The ground seen from above: asphalt, paint, kerbs, grass and gate bands, rasterised once per track."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.sim.blocks import CURVATURE, GRADE, POINT_SPACING_M, TANGENT_X, TANGENT_Y, WALL, X, Y
from actors.sim.road import Road, project
from actors.sim.track import Track

TEXEL_M = 0.25
LEVELS = 7

GRASS, GRASS_DARK, ASPHALT, PAINT, KERB, SEAM, CHECKPOINT, FINISH, CONCRETE, CHEVRON = range(10)
COLOURS = np.array(
    [
        [104, 158, 62],
        [72, 122, 44],
        [78, 80, 86],
        [240, 240, 236],
        [205, 40, 36],
        [52, 53, 58],
        [96, 190, 255],
        [18, 18, 20],
        [176, 172, 164],
        [236, 186, 52],
    ],
    dtype=np.float64,
)
LUMA = np.array([0.299, 0.587, 0.114])
DASH_M, DASH_EVERY_M = 5.0, 12.0
KERB_CURVATURE = 1.0 / 90.0
FLAT_GRADE = 0.01
ARROW_HALF_M = 4.0
START_BAND_M = 4.0


class _Brush(NamedTuple):
    """What a texel is painted with: colours, its side and half the road in metres, gates along the line."""

    colours: NDArray[np.float64]
    texel: float
    half: float
    gates_m: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ground:
    """A top-down picture of the ground with its halvings, laid end to end in one flat array.

    Attributes:
        texels: uint8, all levels one after another, rows from south to north.
        levels: rows of offset, height, width of each level.
        origin: x and y of the south-west corner, in metres.
        texel_m: side of a texel of level 0, in metres.
    """

    texels: NDArray[np.uint8]
    levels: NDArray[np.int64]
    origin: tuple[float, float]
    texel_m: float


@njit(cache=True)
def _noise(column: int, row: int) -> float:
    """A fixed pseudo-random number in [0, 1) for a lattice point."""
    value = (column * 374761393 + row * 668265263) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 1274126177) & 0xFFFFFFFF
    return float((value ^ (value >> 16)) & 0xFFFF) / 65536.0


@njit(cache=True)
def _smooth_noise(x: float, y: float) -> float:
    """Bilinear noise over a lattice of 1 m."""
    column, row = (math.floor(x)), (math.floor(y))
    u, v = x - column, y - row
    south = _noise(column, row) * (1 - u) + _noise(column + 1, row) * u
    north = _noise(column, row + 1) * (1 - u) + _noise(column + 1, row + 1) * u
    return south * (1 - v) + north * v


@njit(cache=True)
def _blend(pixel: NDArray[np.float64], colour: NDArray[np.float64], share: float) -> None:
    if share <= 0.0:
        return
    share = min(share, 1.0)
    for channel in range(pixel.shape[0]):
        pixel[channel] += (colour[channel] - pixel[channel]) * share


@njit(cache=True)
def _band(value: float, centre: float, half: float, texel: float) -> float:
    """Coverage of a texel at ``value`` by the band ``centre`` +- ``half``."""
    return min(max((half - abs(value - centre)) / texel + 0.5, 0.0), 1.0)


@njit(cache=True)
def _paint_grass(
    pixel: NDArray[np.float64], colours: NDArray[np.float64], x: float, y: float
) -> None:
    patch = _smooth_noise(x / 7.0, y / 7.0)
    stripe = 0.5 if (math.floor((x + y) / 9.0)) % 2 == 0 else 0.0
    tuft = _smooth_noise(x * 1.7, y * 1.7)
    for channel in range(pixel.shape[0]):
        pixel[channel] = colours[GRASS, channel]
    _blend(pixel, colours[GRASS_DARK], 0.45 * patch + stripe * 0.7 + 0.35 * (tuft - 0.5))


@njit(cache=True)
def _paint_road(
    pixel: NDArray[np.float64],
    brush: _Brush,
    row: NDArray[np.float64],
    along: float,
    offset: float,
) -> None:
    """Asphalt, seams, slope arrows, dashes, edge lines and kerbs at a place on the road."""
    side, texel, colours = abs(offset), brush.texel, brush.colours
    grain = 10.0 * (_smooth_noise(along * 2.0, offset * 2.0) - 0.5)
    for channel in range(pixel.shape[0]):
        pixel[channel] = colours[ASPHALT, channel] + grain + 140.0 * row[GRADE]
    _blend(pixel, colours[SEAM], 0.7 * _band(along % 8.0, 4.0, 0.2, texel))
    if abs(row[GRADE]) > FLAT_GRADE and side < ARROW_HALF_M:
        arrow = along + math.copysign(0.8, row[GRADE]) * side
        _blend(pixel, colours[CHEVRON], _band(arrow % 10.0, 5.0, 0.6, texel))
    if along % DASH_EVERY_M < DASH_M:
        _blend(pixel, colours[PAINT], _band(side, 0.0, 0.2, texel))
    edge = _band(side, brush.half - 0.7, 0.3, texel)
    if abs(row[CURVATURE]) > KERB_CURVATURE:
        edge = _band(side, brush.half - 0.6, 0.6, texel)
        if int(along / 3.0) % 2 == 0:
            _blend(pixel, colours[KERB], edge)
            edge = 0.0
    _blend(pixel, colours[PAINT], edge)


@njit(cache=True)
def _paint_gates(pixel: NDArray[np.float64], brush: _Brush, along: float, offset: float) -> None:
    """The painted band under each gate, chequered at start and finish (the last two)."""
    count = brush.gates_m.shape[0]
    for gate in range(count):
        share = _band(along, brush.gates_m[gate], 1.6, brush.texel)
        if share > 0.0 and gate < count - 2:
            _blend(pixel, brush.colours[CHECKPOINT], share)
        elif share > 0.0:
            square = math.floor(along / 0.8) + math.floor(offset / 0.8)
            _blend(pixel, brush.colours[FINISH if square % 2 == 0 else PAINT], share)


@njit(cache=True)
def _rasterise(picture: NDArray[np.uint8], brush: _Brush, road: Road) -> None:
    pixel = np.empty(picture.shape[2])
    asphalt = np.empty(picture.shape[2])
    half, texel = brush.half, brush.texel
    for v in range(picture.shape[0]):
        y = road.origin_y + (v + 0.5) * texel
        for u in range(picture.shape[1]):
            x = road.origin_x + (u + 0.5) * texel
            _paint_grass(pixel, brush.colours, x, y)
            index, offset = project(road, x, y)
            if index >= 0 and abs(offset) < half + 2.0:
                near = road.line[index]
                step = (x - near[X]) * near[TANGENT_X] + (y - near[Y]) * near[TANGENT_Y]
                along = index * POINT_SPACING_M + step
                if near[WALL] > 0.0:
                    share = _band(abs(offset), half, 0.6, texel)
                    _blend(pixel, brush.colours[CONCRETE], share)
                _paint_road(asphalt, brush, near, along, offset)
                _paint_gates(asphalt, brush, along, offset)
                _blend(pixel, asphalt, (half - abs(offset)) / texel + 0.5)
            for channel in range(pixel.shape[0]):
                picture[v, u, channel] = int(min(max(pixel[channel], 0.0), 255.0))


def top_view(track: Track, colours: NDArray[np.float64], texel_m: float) -> NDArray[np.uint8]:
    """The track's map painted with ``colours``: uint8 rows (south first), columns, channels.

    Args:
        track: what to paint.
        colours: a row of channel values for each material.
        texel_m: side of a texel, in metres.
    """
    rows, columns = (round(track.extent_m[axis] / texel_m) for axis in (1, 0))
    picture = np.empty((rows, columns, colours.shape[1]), dtype=np.uint8)
    *checkpoints, finish = track.gate_distances_m
    gates_m = np.array([*checkpoints, 0.0 if track.closed else START_BAND_M, finish])
    gates_m += track.start_index * POINT_SPACING_M
    _rasterise(picture, _Brush(colours, texel_m, track.width_m / 2, gates_m), track.road)
    return picture


def map_image(track: Track, metres_per_pixel: float = 0.5) -> NDArray[np.uint8]:
    """The track from above, north up: uint8 RGB of shape (rows, columns, 3)."""
    return np.ascontiguousarray(top_view(track, COLOURS, metres_per_pixel)[::-1])


@lru_cache(maxsize=32)
def ground_planes(track: Track, *, colour: bool) -> tuple[Ground, ...]:
    """The ground textures of a track: one grey plane, or red, green and blue.

    They are shared by every camera of this process on this track.
    """
    colours = COLOURS if colour else (COLOURS @ LUMA)[:, None]
    picture = top_view(track, np.ascontiguousarray(colours), TEXEL_M)
    return tuple(
        _pyramid(picture[:, :, channel], track.origin) for channel in range(picture.shape[2])
    )


def _pyramid(plane: NDArray[np.uint8], origin: tuple[float, float]) -> Ground:
    pieces, table, offset = [], [], 0
    current: NDArray[np.float32] = plane.astype(np.float32)
    for _ in range(LEVELS):
        pieces.append(np.round(current).astype(np.uint8).ravel())
        table.append((offset, *current.shape))
        offset += current.size
        rows, columns = (size // 2 * 2 for size in current.shape)
        even = current[:rows, :columns]
        current = (
            even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
        ) * np.float32(0.25)
    return Ground(np.concatenate(pieces), np.array(table, dtype=np.int64), origin, TEXEL_M)
