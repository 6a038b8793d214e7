"""Where a simulated track lies in the stand-in's world: each map somewhere else, as in the real game.

All tracks of ``actors.sim`` begin at the same spot. In TrackMania a map is told from another by where
its car stands at the start, so the stand-in moves each track by a distance of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from actors.sim.track import Track

_BLOCK_M = 32.0
_BLOCKS = 48
_STOREY_M = 8.0
_STOREYS = 20


def map_place(track: Track) -> tuple[float, float, float]:
    """Returns the x, y (up) and z in metres of the track's own origin; the same for the same road."""
    digest = int(track.content_hash[:12], 16)
    digest, column = divmod(digest, _BLOCKS)
    digest, row = divmod(digest, _BLOCKS)
    storey = digest % _STOREYS
    return column * _BLOCK_M, (1 + storey) * _STOREY_M, row * _BLOCK_M


def game_points(track: Track, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns points of a track in the axes of the game.

    Args:
        track: the track they lie on.
        points: float64 [point, 3]: x to the east, y to the north, height; metres.

    Returns:
        float64 [point, 3]: x, y (up), z; metres.
    """
    return np.asarray(points[:, (0, 2, 1)] + np.array(map_place(track)))
