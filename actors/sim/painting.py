"""The compiled brushes of the chase camera: sky and hills, ground, walls, gates, and the car's rear."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.sim.blocks import TANGENT_X, TANGENT_Y, WALL, X, Y
from actors.sim.physics import BRAKE, HEADING, LINE_ROW, POS_X, POS_Y, SPEED_X, SPEED_Y, STEER
from actors.sim.road import Road
from actors.sim.sprite import LEANS

BACK_M = 8.5
HEIGHT_M = 3.6
FOCAL_X = 0.58
FOCAL_Y = 1.05
HORIZON = 0.34
GATE_SIGHT_M = 160.0
GATE_BOTTOM_M = 5.2
GATE_TOP_M = 7.6
POST_M = 0.5
WALL_HEIGHT_M = 1.1
WALL_STEP = 40
WALL_STEPS = 32
NEAR_M = 1.2
SKYLINE = 1024

SKY_TOP, SKY_LOW, HILLS, FOG, GATE_POST, GATE_BANNER, FINISH_DARK, FINISH_LIGHT, WALL_A, WALL_B = (
    range(10)
)

Segment: TypeAlias = tuple[float, float, float, float]


class Scene(NamedTuple):
    """Tables for one picture size.

    Attributes:
        samples: for each ground sample its picture row, depth (m), texture level, weight and fog.
        bearings: bearing of each picture column off the view axis, as a share of the compass circle.
        skyline: height of the hills around the compass, as a share of the picture's height.
        bottom: picture row below the car's wheels.
    """

    samples: NDArray[np.float64]
    bearings: NDArray[np.float64]
    skyline: NDArray[np.float64]
    bottom: int


class Plane(NamedTuple):
    """What one channel of the picture is painted from.

    Attributes:
        texels: the ground from above with its halvings, see ``actors.sim.ground.Ground``.
        levels: rows of offset, height, width of each halving.
        texel_m: side of a texel, in metres.
        tints: value of each fixed colour.
        sprites: (lean, row, column, value and opacity).
    """

    texels: NDArray[np.uint8]
    levels: NDArray[np.int64]
    texel_m: float
    tints: NDArray[np.float64]
    sprites: NDArray[np.float64]


class Eye(NamedTuple):
    """Where the camera is and the way it looks.

    Attributes:
        x: metres to the east.
        y: metres to the north.
        cos: cosine of the heading it looks along.
        sin: sine of that heading.
    """

    x: float
    y: float
    cos: float
    sin: float


@njit(cache=True)
def _paint_sky(
    out: NDArray[np.uint8], scene: Scene, tints: NDArray[np.float64], yaw: float
) -> None:
    height, width = out.shape
    horizon = HORIZON * height
    rows = math.ceil(horizon) + 1
    for row in range(rows):
        share = min(row / horizon, 1.0)
        value = np.uint8(tints[SKY_TOP] + (tints[SKY_LOW] - tints[SKY_TOP]) * share)
        for column in range(width):
            out[row, column] = value
    compass = yaw / (2 * math.pi)
    hills = np.uint8(tints[HILLS])
    for column in range(width):
        place = math.floor((compass + scene.bearings[column]) * SKYLINE) % SKYLINE
        for row in range(int(horizon - scene.skyline[place] * height), rows):
            out[row, column] = hills


@njit(cache=True)
def _paint_ground(out: NDArray[np.uint8], scene: Scene, plane: Plane, eye: Eye, fog: float) -> None:
    """Project the ground; ``eye`` counts from the south-west corner of the texture.

    Positions in the texture are fixed-point with 16 fractional bits, which keeps this inner loop
    of some 4,000 samples a picture in integers.
    """
    width = out.shape[1]
    step = 1.0 / (FOCAL_X * width)
    line = np.zeros(width, dtype=np.float32)
    last = scene.samples.shape[0] - 1
    for sample in range(last + 1):
        depth = scene.samples[sample, 1]
        level = int(scene.samples[sample, 2])
        weight = np.float32(scene.samples[sample, 3] / 65536.0)
        base, high, wide = plane.levels[level]
        scale = 1.0 / (plane.texel_m * (1 << level))
        aside = (0.5 - width / 2) * step * depth
        u = int(((eye.x + depth * eye.cos + aside * eye.sin) * scale - 0.5) * 65536.0)
        v = int(((eye.y + depth * eye.sin - aside * eye.cos) * scale - 0.5) * 65536.0)
        du = int(eye.sin * step * depth * scale * 65536.0)
        dv = int(-eye.cos * step * depth * scale * 65536.0)
        end_u, end_v = u + (width - 1) * du, v + (width - 1) * dv
        inside = min(u, end_u) >= 0 and min(v, end_v) >= 0
        inside = inside and max(u, end_u) >> 16 < wide - 1 and max(v, end_v) >> 16 < high - 1
        for column in range(width):
            i, j = u >> 16, v >> 16
            if not inside:
                i, j = min(max(i, 0), wide - 2), min(max(j, 0), high - 2)
            fu, fv = (u >> 8) & 255, (v >> 8) & 255
            at = np.uint64(base + j * wide + i)
            above = at + np.uint64(wide)
            one = np.uint64(1)
            south = (np.int64(plane.texels[at]) << 8) + fu * (
                np.int64(plane.texels[at + one]) - np.int64(plane.texels[at])
            )
            north = (np.int64(plane.texels[above]) << 8) + fu * (
                np.int64(plane.texels[above + one]) - np.int64(plane.texels[above])
            )
            line[column] += weight * np.float32((south << 8) + fv * (north - south))
            u += du
            v += dv
        row = int(scene.samples[sample, 0])
        if sample == last or int(scene.samples[sample + 1, 0]) != row:
            clear = np.float32(1.0 - scene.samples[sample, 4])
            haze = np.float32(fog * scene.samples[sample, 4])
            for column in range(width):
                out[row, column] = np.uint8(line[column] * clear + haze)
                line[column] = 0.0


@njit(cache=True)
def _paint_upright(
    out: NDArray[np.uint8],
    eye: Eye,
    segment: Segment,
    heights: tuple[float, float],
    look: tuple[float, float, int],
) -> None:
    """Fill an upright rectangle over a segment of ground.

    Args:
        out: the picture.
        eye: the camera.
        segment: x and y of both ends, in metres.
        heights: lower and upper edge above the ground, in metres.
        look: two values and the number of fields along the rectangle in which they alternate; a
            second row of fields begins above three.
    """
    width = out.shape[1]
    x0, y0, x1, y1 = segment
    depth0 = (x0 - eye.x) * eye.cos + (y0 - eye.y) * eye.sin
    depth1 = (x1 - eye.x) * eye.cos + (y1 - eye.y) * eye.sin
    if depth0 < NEAR_M and depth1 < NEAR_M:
        return
    aside0 = (x0 - eye.x) * eye.sin - (y0 - eye.y) * eye.cos
    aside1 = (x1 - eye.x) * eye.sin - (y1 - eye.y) * eye.cos
    from0 = (NEAR_M - depth0) / (depth1 - depth0) if depth0 < NEAR_M else 0.0
    from1 = (NEAR_M - depth0) / (depth1 - depth0) if depth1 < NEAR_M else 1.0
    inverse0 = 1.0 / (depth0 + from0 * (depth1 - depth0))
    inverse1 = 1.0 / (depth0 + from1 * (depth1 - depth0))
    column0 = width * (0.5 + FOCAL_X * (aside0 + from0 * (aside1 - aside0)) * inverse0)
    column1 = width * (0.5 + FOCAL_X * (aside0 + from1 * (aside1 - aside0)) * inverse1)
    along0, along1 = from0 * inverse0, from1 * inverse1
    span = column1 - column0
    if abs(span) < 1e-6:  # noqa: PLR2004 (an edge-on rectangle)
        span = 1e-6
    begin, end = min(column0, column1), max(column0, column1)
    for column in range(max(0, int(begin)), min(width, int(end) + 1)):
        share = min(max((column + 0.5 - column0) / span, 0.0), 1.0)
        inverse = inverse0 + (inverse1 - inverse0) * share
        part = (along0 + (along1 - along0) * share) / inverse
        _paint_post(out, column, inverse, heights, (look[0], look[1], look[2], part))


@njit(cache=True)
def _paint_post(
    out: NDArray[np.uint8],
    column: int,
    inverse: float,
    heights: tuple[float, float],
    look: tuple[float, float, int, float],
) -> None:
    """One picture column of an upright rectangle, ``inverse`` = 1 / depth."""
    height = out.shape[0]
    first, second, fields, part = look
    high = height * (HORIZON + (HEIGHT_M - heights[1]) * FOCAL_Y * inverse)
    low = height * (HORIZON + (HEIGHT_M - heights[0]) * FOCAL_Y * inverse)
    odd = min(int(part * fields), fields - 1) % 2
    begin, end = int(max(high, 0.0) + 0.5), int(min(max(low, 0.0), float(height)) + 0.5)
    rows = 2 if fields > 3 else 1  # noqa: PLR2004 (as the docstring of the caller says)
    for row in range(begin, max(end, min(begin + 1, height))):
        swap = (row - begin) * rows // max(end - begin, 1)
        out[row, column] = np.uint8(second if (odd + swap) % 2 == 1 else first)


@njit(cache=True)
def _paint_walls(
    out: NDArray[np.uint8], eye: Eye, tints: NDArray[np.float64], road: Road, row: int
) -> None:
    """Walls of the road ahead, far ones first."""
    line, half = road.line, road.half_width
    count = line.shape[0]
    for step in range(WALL_STEPS, -5, -1):
        first = row - row % WALL_STEP + step * WALL_STEP
        second = first + WALL_STEP
        if road.closed:
            first, second = first % count, second % count
        if first < 0 or second >= count or line[first, WALL] == 0.0:
            continue
        tint = tints[WALL_B] if (first // WALL_STEP) % 2 == 0 else tints[WALL_A]
        for side in (-half, half):
            segment = (
                line[first, X] - side * line[first, TANGENT_Y],
                line[first, Y] + side * line[first, TANGENT_X],
                line[second, X] - side * line[second, TANGENT_Y],
                line[second, Y] + side * line[second, TANGENT_X],
            )
            _paint_upright(out, eye, segment, (0.0, WALL_HEIGHT_M), (tint, tint, 1))


@njit(cache=True)
def _paint_gates(out: NDArray[np.uint8], eye: Eye, tints: NDArray[np.float64], road: Road) -> None:
    """An arch over each gate in sight: two posts and a banner, chequered at the finish."""
    last = road.gates.shape[0] - 1
    reach = road.half_width + 0.6
    for gate in range(last, -1, -1):
        x, y, tangent_x, tangent_y = road.gates[gate]
        depth = (x - eye.x) * eye.cos + (y - eye.y) * eye.sin
        if depth < -reach or math.hypot(x - eye.x, y - eye.y) > GATE_SIGHT_M:
            continue
        for side in (-reach, reach):
            inner = side - math.copysign(POST_M, side)
            post = (
                x - side * tangent_y,
                y + side * tangent_x,
                x - inner * tangent_y,
                y + inner * tangent_x,
            )
            look = (tints[GATE_POST], tints[GATE_POST], 1)
            _paint_upright(out, eye, post, (0.0, GATE_TOP_M), look)
        banner = (
            x - reach * tangent_y,
            y + reach * tangent_x,
            x + reach * tangent_y,
            y - reach * tangent_x,
        )
        look = (tints[GATE_BANNER], tints[FINISH_LIGHT], 3)
        if gate == last:
            look = (tints[FINISH_DARK], tints[FINISH_LIGHT], 8)
        _paint_upright(out, eye, banner, (GATE_BOTTOM_M, GATE_TOP_M), look)


@njit(cache=True)
def _paint_car(
    out: NDArray[np.uint8], sprites: NDArray[np.float64], index: int, bottom: int
) -> None:
    rows, columns = sprites.shape[1], sprites.shape[2]
    left, top = (out.shape[1] - columns) // 2, bottom - rows
    for row in range(max(0, -top), rows):
        for column in range(columns):
            opacity = sprites[index, row, column, 1]
            if opacity > 0.0:
                under = out[top + row, left + column]
                value = under + (sprites[index, row, column, 0] - under) * opacity
                out[top + row, left + column] = np.uint8(value)


@njit(cache=True)
def paint(
    out: NDArray[np.uint8], state: NDArray[np.float64], road: Road, scene: Scene, plane: Plane
) -> None:
    """Paint one channel of what the camera behind the car sees.

    The camera looks half-way between the car's heading and its motion, so a drifting car shows its flank.

    Args:
        out: (height, width) picture to fill.
        state: the car, see ``actors.sim.physics``.
        road: the road.
        scene: tables of this picture size.
        plane: textures and colours of this channel.
    """
    slip = math.atan2(state[SPEED_Y], max(abs(state[SPEED_X]), 4.0))
    yaw = state[HEADING] + 0.5 * slip
    cos, sin = math.cos(yaw), math.sin(yaw)
    eye = Eye(state[POS_X] - BACK_M * cos, state[POS_Y] - BACK_M * sin, cos, sin)
    above_map = Eye(eye.x - road.origin_x, eye.y - road.origin_y, cos, sin)
    _paint_sky(out, scene, plane.tints, yaw)
    _paint_ground(out, scene, plane, above_map, plane.tints[FOG])
    if state[LINE_ROW] >= 0:
        _paint_walls(out, eye, plane.tints, road, int(state[LINE_ROW]))
    _paint_gates(out, eye, plane.tints, road)
    lean = min(max(0.6 * state[STEER] + 2.5 * slip, -1.0), 1.0)
    sprite = round((lean + 1.0) / 2 * (LEANS - 1))
    if state[BRAKE] > 0.0:
        sprite += LEANS
    _paint_car(out, plane.sprites, sprite, scene.bottom)
