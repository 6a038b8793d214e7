"""The chase camera: sky, hills, ground, walls, gates and the car's rear, in grey or colour.

The ground is projected from the track's top-down texture. Far rows average several depths and read
a coarser halving of the texture, so that a road edge 40 m away still shows in 64x64 pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.sim.blocks import TANGENT_X, TANGENT_Y, WALL, X, Y
from actors.sim.car import BRAKE, HEADING, LINE_ROW, POS_X, POS_Y, SPEED_X, SPEED_Y, STEER
from actors.sim.ground import LUMA, Ground, ground_planes
from actors.sim.sprite import LEANS, car_sprites
from actors.sim.track import Track

BACK_M = 8.5
HEIGHT_M = 3.6
FOCAL_X = 0.58
FOCAL_Y = 1.05
HORIZON = 0.34
FAR_M = 320.0
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
_TINTS = np.array(
    [
        [84, 140, 214],
        [206, 226, 242],
        [98, 122, 138],
        [168, 190, 190],
        [40, 42, 48],
        [58, 140, 232],
        [16, 16, 18],
        [248, 248, 248],
        [226, 224, 218],
        [196, 52, 44],
    ],
    dtype=np.float64,
)


@dataclass(frozen=True, eq=False)
class _Plane:
    """What one channel of the picture is painted from."""

    ground: Ground
    tints: NDArray[np.float64]
    sprites: NDArray[np.float64]


@njit(cache=True)
def _paint_sky(
    out: NDArray[np.uint8], tints: NDArray[np.float64], skyline: NDArray[np.float64], yaw: float
) -> None:
    height, width = out.shape
    horizon = HORIZON * height
    rows = int(math.ceil(horizon)) + 1
    for row in range(rows):
        share = min(row / horizon, 1.0)
        value = tints[SKY_TOP] + (tints[SKY_LOW] - tints[SKY_TOP]) * share
        out[row, :] = np.uint8(value)
    focal = FOCAL_X * width
    for column in range(width):
        bearing = yaw - math.atan((column + 0.5 - width / 2) / focal)
        place = int(bearing / (2 * math.pi) * SKYLINE) % SKYLINE
        top = int(horizon - skyline[place] * height)
        for row in range(max(top, 0), rows):
            out[row, column] = np.uint8(tints[HILLS])


@njit(cache=True)
def _paint_ground(
    out: NDArray[np.uint8],
    rows: NDArray[np.float64],
    texels: NDArray[np.uint8],
    levels: NDArray[np.int64],
    fog: float,
    eye_x: float,
    eye_y: float,
    yaw: float,
    texel: float,
) -> None:
    """Project the ground; ``rows`` lists picture row, depth, level, weight and fog of each sample row."""
    width = out.shape[1]
    step = 1.0 / (FOCAL_X * width)
    forward_x, forward_y = math.cos(yaw), math.sin(yaw)
    right_x, right_y = forward_y, -forward_x
    line = np.zeros(width)
    for sample in range(rows.shape[0]):
        depth, weight = rows[sample, 1], rows[sample, 3]
        level = int(rows[sample, 2])
        base, high, wide = levels[level, 0], levels[level, 1], levels[level, 2]
        scale = 1.0 / (texel * (1 << level))
        aside = (0.5 - width / 2) * step * depth
        x = (eye_x + depth * forward_x + aside * right_x) * scale - 0.5
        y = (eye_y + depth * forward_y + aside * right_y) * scale - 0.5
        over = step * depth * scale * 65536.0
        u, v = int(x * 65536.0), int(y * 65536.0)
        du, dv = int(right_x * over), int(right_y * over)
        weight /= 65536.0
        for column in range(width):
            i = min(max(u >> 16, 0), wide - 2)
            j = min(max(v >> 16, 0), high - 2)
            fu, fv = (u >> 8) & 255, (v >> 8) & 255
            at = base + j * wide + i
            south = int(texels[at]) * (256 - fu) + int(texels[at + 1]) * fu
            at += wide
            north = int(texels[at]) * (256 - fu) + int(texels[at + 1]) * fu
            line[column] += weight * (south * (256 - fv) + north * fv)
            u += du
            v += dv
        row = int(rows[sample, 0])
        if sample + 1 == rows.shape[0] or int(rows[sample + 1, 0]) != row:
            haze = rows[sample, 4]
            for column in range(width):
                out[row, column] = np.uint8(line[column] * (1.0 - haze) + fog * haze)
                line[column] = 0.0


@njit(cache=True)
def _paint_upright(
    out: NDArray[np.uint8],
    view: NDArray[np.float64],
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    bottom: float,
    top: float,
    first: float,
    second: float,
    squares: int,
) -> None:
    """Fill an upright rectangle over the ground segment (x0, y0)-(x1, y1), chequered in ``squares``."""
    height, width = out.shape
    eye_x, eye_y, cos, sin = view[0], view[1], view[2], view[3]
    depth0 = (x0 - eye_x) * cos + (y0 - eye_y) * sin
    depth1 = (x1 - eye_x) * cos + (y1 - eye_y) * sin
    if depth0 < NEAR_M and depth1 < NEAR_M:
        return
    aside0 = (x0 - eye_x) * sin - (y0 - eye_y) * cos
    aside1 = (x1 - eye_x) * sin - (y1 - eye_y) * cos
    from0, from1 = 0.0, 1.0
    if depth0 < NEAR_M:
        from0 = (NEAR_M - depth0) / (depth1 - depth0)
    elif depth1 < NEAR_M:
        from1 = (NEAR_M - depth0) / (depth1 - depth0)
    near_aside = aside0 + from0 * (aside1 - aside0)
    near_depth = depth0 + from0 * (depth1 - depth0)
    far_aside = aside0 + from1 * (aside1 - aside0)
    far_depth = depth0 + from1 * (depth1 - depth0)
    focal = FOCAL_X * width
    left = width / 2 + focal * near_aside / near_depth
    right = width / 2 + focal * far_aside / far_depth
    inverse_left, inverse_right = 1.0 / near_depth, 1.0 / far_depth
    along_left, along_right = from0 / near_depth, from1 / far_depth
    if right < left:
        left, right = right, left
        inverse_left, inverse_right = inverse_right, inverse_left
        along_left, along_right = along_right, along_left
    span = max(right - left, 1e-6)
    horizon, focal_y = HORIZON * height, FOCAL_Y * height
    for column in range(max(0, int(left)), min(width, int(right) + 1)):
        share = min(max((column + 0.5 - left) / span, 0.0), 1.0)
        inverse = inverse_left + (inverse_right - inverse_left) * share
        high = horizon + (HEIGHT_M - top) * focal_y * inverse
        low = horizon + (HEIGHT_M - bottom) * focal_y * inverse
        part = (along_left + (along_right - along_left) * share) / inverse
        odd = min(int(part * squares), squares - 1) % 2 == 1
        begin, end = int(max(high, 0.0) + 0.5), int(min(max(low, 0.0), float(height)) + 0.5)
        for row in range(begin, max(end, min(begin + 1, height))):
            swap = squares > 3 and (row - begin) * 2 >= end - begin
            out[row, column] = np.uint8(second if odd != swap else first)


@njit(cache=True)
def _paint_walls(
    out: NDArray[np.uint8],
    view: NDArray[np.float64],
    tints: NDArray[np.float64],
    line: NDArray[np.float64],
    closed: bool,
    row: int,
    half: float,
) -> None:
    """Walls of the road ahead, far ones first."""
    count = line.shape[0]
    for step in range(WALL_STEPS, -4, -1):
        first, second = row + step * WALL_STEP, row + (step + 1) * WALL_STEP
        first -= row % WALL_STEP
        second -= row % WALL_STEP
        if closed:
            first, second = first % count, second % count
        if first < 0 or second >= count or line[first, WALL] < 0.5:
            continue
        red = (first // WALL_STEP) % 2 == 0
        for side in (-half, half):
            _paint_upright(
                out,
                view,
                line[first, X] - side * line[first, TANGENT_Y],
                line[first, Y] + side * line[first, TANGENT_X],
                line[second, X] - side * line[second, TANGENT_Y],
                line[second, Y] + side * line[second, TANGENT_X],
                0.0,
                WALL_HEIGHT_M,
                tints[WALL_B] if red else tints[WALL_A],
                0.0,
                1,
            )


@njit(cache=True)
def _paint_gates(
    out: NDArray[np.uint8],
    view: NDArray[np.float64],
    tints: NDArray[np.float64],
    gates: NDArray[np.float64],
    half: float,
) -> None:
    last = gates.shape[0] - 1
    for gate in range(last, -1, -1):
        x, y, tangent_x, tangent_y = gates[gate]
        depth = (x - view[0]) * view[2] + (y - view[1]) * view[3]
        away = math.hypot(x - view[0], y - view[1])
        if depth < -half or away > GATE_SIGHT_M:
            continue
        reach = half + 0.6
        for side in (-reach, reach):
            inner = side - math.copysign(POST_M, side)
            _paint_upright(
                out, view,
                x - side * tangent_y, y + side * tangent_x,
                x - inner * tangent_y, y + inner * tangent_x,
                0.0, GATE_TOP_M, tints[GATE_POST], 0.0, 1,
            )  # fmt: skip
        banner, other, squares = tints[GATE_BANNER], tints[FINISH_LIGHT], 3
        if gate == last:
            banner, other, squares = tints[FINISH_DARK], tints[FINISH_LIGHT], 8
        _paint_upright(
            out, view,
            x - reach * tangent_y, y + reach * tangent_x,
            x + reach * tangent_y, y - reach * tangent_x,
            GATE_BOTTOM_M, GATE_TOP_M, banner, other, squares,
        )  # fmt: skip


@njit(cache=True)
def _paint_car(
    out: NDArray[np.uint8], sprites: NDArray[np.float64], lean: float, bottom: int, braking: bool
) -> None:
    index = int(round((min(max(lean, -1.0), 1.0) + 1.0) / 2 * (LEANS - 1)))
    if braking:
        index += LEANS
    rows, columns = sprites.shape[1], sprites.shape[2]
    left, top = (out.shape[1] - columns) // 2, bottom - rows
    for row in range(rows):
        for column in range(columns):
            opacity = sprites[index, row, column, 1]
            if opacity > 0.0:
                under = out[top + row, left + column]
                value = under + (sprites[index, row, column, 0] - under) * opacity
                out[top + row, left + column] = np.uint8(value)


@njit(cache=True)
def _paint(
    out: NDArray[np.uint8],
    state: NDArray[np.float64],
    rows: NDArray[np.float64],
    skyline: NDArray[np.float64],
    texels: NDArray[np.uint8],
    levels: NDArray[np.int64],
    origin_x: float,
    origin_y: float,
    texel: float,
    tints: NDArray[np.float64],
    sprites: NDArray[np.float64],
    line: NDArray[np.float64],
    closed: bool,
    half: float,
    gates: NDArray[np.float64],
    bottom: int,
) -> None:
    slip = math.atan2(state[SPEED_Y], max(abs(state[SPEED_X]), 4.0))
    yaw = state[HEADING] + 0.5 * slip
    view = np.empty(4)
    view[2], view[3] = math.cos(yaw), math.sin(yaw)
    view[0] = state[POS_X] - BACK_M * view[2]
    view[1] = state[POS_Y] - BACK_M * view[3]
    _paint_sky(out, tints, skyline, yaw)
    _paint_ground(
        out, rows, texels, levels, tints[FOG], view[0] - origin_x, view[1] - origin_y, yaw, texel
    )
    if state[LINE_ROW] >= 0:
        _paint_walls(out, view, tints, line, closed, int(state[LINE_ROW]), half)
    _paint_gates(out, view, tints, gates, half)
    lean = 0.6 * state[STEER] + 2.5 * slip
    _paint_car(out, sprites, lean, bottom, state[BRAKE] > 0.0)


def _sample_rows(width: int, height: int, texel_m: float, levels: int) -> NDArray[np.float64]:
    """For each sample of the ground: picture row, depth, texture level, weight and fog."""
    horizon, focal = HORIZON * height, FOCAL_Y * height
    samples = []
    for row in range(int(horizon), height):
        top, low = max(row - horizon, 0.0), row + 1 - horizon
        near = HEIGHT_M * focal / low
        far = min(HEIGHT_M * focal / max(top, 1e-6), FAR_M)
        if far <= near:
            near, far = FAR_M, FAR_M
        across = (near + far) / 2 / (FOCAL_X * width)
        count = int(np.clip(math.ceil((far - near) / (1.3 * across)), 1, 6))
        level = int(
            np.clip(math.floor(math.log2(max(across / texel_m, 1.0)) + 0.35), 0, levels - 1)
        )
        for part in range(count):
            depth = near + (far - near) * (part + 0.5) / count
            fog = min(0.75, max(0.0, (depth - 60.0) / 320.0))
            samples.append((row, depth, level, 1.0 / count, fog))
    return np.array(samples)


def _hills() -> NDArray[np.float64]:
    """Height of the hills on the horizon around the compass, as a share of the picture's height."""
    turn = np.linspace(0.0, 2 * math.pi, SKYLINE, endpoint=False)
    waves = np.sin(3 * turn) + 0.7 * np.sin(7 * turn + 1.0) + 0.5 * np.sin(17 * turn + 2.0)
    waves += 0.4 * np.sin(41 * turn)
    return np.asarray(np.clip(0.035 + 0.018 * waves, 0.0, None))


class Camera:
    """Pictures of a car on a track, always the same for the same state."""

    def __init__(self, track: Track, width: int = 64, height: int = 64, *, colour: bool = False):
        """Prepares the ground texture (shared within the process) and the tables for one picture size.

        Args:
            track: where the car drives.
            width: picture width in pixels.
            height: picture height in pixels.
            colour: whether ``paint`` makes RGB instead of grey.
        """
        self.width, self.height, self.colour = width, height, colour
        self._rows = _sample_rows(width, height, 0.25, 7)
        self._skyline = _hills()
        wheels_m = BACK_M - 1.6
        focal = FOCAL_Y * height / wheels_m
        self._bottom = min(height, round(HORIZON * height + HEIGHT_M * focal))
        sheet = car_sprites(FOCAL_X * width / wheels_m, focal * 1.15)
        weights = np.eye(3) if colour else LUMA[None, :]
        self._planes = [
            _Plane(
                ground,
                _TINTS @ weights[channel],
                np.stack([sheet[..., :3] @ weights[channel], sheet[..., 3]], axis=-1),
            )
            for channel, ground in enumerate(ground_planes(track, colour=colour))
        ]
        self._road = (track.line, track.closed, track.width_m / 2, track.gates, self._bottom)

    def paint(self, state: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
        """Paint what the camera behind the car sees.

        Args:
            state: the car's state, see ``actors.sim.car``.
            out: receives the picture; (height, width) in grey, (height, width, 3) in colour.
        """
        if not self.colour:
            self._paint_plane(state, out, self._planes[0])
            return
        plane_out = np.empty((self.height, self.width), dtype=np.uint8)
        for channel, plane in enumerate(self._planes):
            self._paint_plane(state, plane_out, plane)
            out[:, :, channel] = plane_out

    def _paint_plane(
        self, state: NDArray[np.float64], out: NDArray[np.uint8], plane: _Plane
    ) -> None:
        ground = plane.ground
        _paint(
            out, state, self._rows, self._skyline, ground.texels, ground.levels, *ground.origin,
            ground.texel_m, plane.tints, plane.sprites, *self._road,
        )  # fmt: skip
