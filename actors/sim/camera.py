"""The chase camera: a picture of the car on its track, in grey or colour, of any size.

The ground is projected from the track's top-down texture. Far rows average several depths and read
a coarser halving of the texture, so that a road edge 40 m away still shows in 64x64 pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from actors.sim.ground import LEVELS, LUMA, TEXEL_M, ground_planes
from actors.sim.painting import (
    BACK_M,
    FOCAL_X,
    FOCAL_Y,
    HEIGHT_M,
    HORIZON,
    SKYLINE,
    Plane,
    Scene,
    paint,
)
from actors.sim.sprite import car_sprites
from actors.sim.track import Track

FAR_M = 320.0
WHEELS_M = BACK_M - 1.6
CLEAR_M, FOG_DEPTH_M, MOST_FOG = 60.0, 320.0, 0.75
_FINEST_M = 1e-6

# In the order of the constants of actors.sim.painting, from SKY_TOP on.
_TINTS = np.array(
    [
        [84, 140, 214],
        [206, 226, 242],
        [98, 122, 138],
        [168, 190, 190],
        [40, 42, 48],
        [70, 165, 250],
        [16, 16, 18],
        [248, 248, 248],
        [226, 224, 218],
        [132, 22, 24],
    ],
    dtype=np.float64,
)


def _ground_samples(width: int, height: int) -> NDArray[np.float64]:
    """For each sample of the ground: picture row, depth, texture level, weight and fog.

    A row covers a strip of ground that is longer than a pixel is wide; it gets as many samples along
    the strip as that takes, up to six, each from the texture level nearest to a pixel's width.
    """
    horizon, focal = HORIZON * height, FOCAL_Y * height
    samples = []
    for row in range(int(horizon), height):
        near = min(HEIGHT_M * focal / (row + 1 - horizon), FAR_M)
        far = min(HEIGHT_M * focal / max(row - horizon, _FINEST_M), FAR_M)
        across = (near + far) / 2 / (FOCAL_X * width)
        count = int(np.clip(math.ceil((far - near) / (1.3 * across)), 1, 6))
        level = math.floor(math.log2(max(across / TEXEL_M, 1.0)) + 0.35)
        for part in range(count):
            depth = near + (far - near) * (part + 0.5) / count
            fog = min(MOST_FOG, max(0.0, (depth - CLEAR_M) / FOG_DEPTH_M))
            samples.append((row, depth, min(level, LEVELS - 1), 1.0 / count, fog))
    return np.array(samples)


def _hills() -> NDArray[np.float64]:
    """Height of the hills on the horizon around the compass, as a share of the picture's height."""
    turn = np.linspace(0.0, 2 * math.pi, SKYLINE, endpoint=False)
    waves = np.sin(3 * turn) + 0.7 * np.sin(7 * turn + 1.0) + 0.5 * np.sin(17 * turn + 2.0)
    waves += 0.4 * np.sin(41 * turn)
    return np.asarray(np.clip(0.035 + 0.018 * waves, 0.0, None))


class Camera:
    """Pictures of a car on a track, always the same for the same state."""

    def __init__(
        self, track: Track, width: int = 64, height: int = 64, *, colour: bool = False
    ) -> None:
        """Prepares the ground texture (shared within the process) and the tables for one picture size.

        Args:
            track: where the car drives.
            width: picture width in pixels.
            height: picture height in pixels.
            colour: whether ``paint`` makes RGB instead of grey.
        """
        focal = FOCAL_Y * height / WHEELS_M
        columns = np.arange(width) + 0.5 - width / 2
        self._scene = Scene(
            samples=_ground_samples(width, height),
            bearings=-np.arctan(columns / (FOCAL_X * width)) / (2 * math.pi),
            skyline=_hills(),
            bottom=min(height, round(HORIZON * height + HEIGHT_M * focal)),
        )
        sheet = car_sprites(FOCAL_X * width / WHEELS_M, focal * 1.15)
        weights = np.eye(3) if colour else LUMA[None, :]
        self._planes = [
            Plane(
                texels=ground.texels,
                levels=ground.levels,
                texel_m=ground.texel_m,
                tints=_TINTS @ weight,
                sprites=np.stack([sheet[..., :3] @ weight, sheet[..., 3]], axis=-1),
            )
            for weight, ground in zip(weights, ground_planes(track, colour=colour), strict=True)
        ]
        self._road = track.road
        self._grey = None if colour else self._planes[0]
        self._channel = np.empty((height, width), dtype=np.uint8)

    def paint(self, state: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
        """Paint what the camera behind the car sees.

        Args:
            state: the car's state, see ``actors.sim.physics``.
            out: receives the picture; (height, width) in grey, (height, width, 3) in colour.
        """
        if self._grey is not None:
            paint(out, state, self._road, self._scene, self._grey)
            return
        for channel, plane in enumerate(self._planes):
            paint(self._channel, state, self._road, self._scene, plane)
            out[:, :, channel] = self._channel
