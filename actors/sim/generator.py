"""Seeded tracks that nobody drew: random rows of blocks that never meet themselves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from actors.sim.blocks import BLOCK_M, Block, X, Y, chicane, left, right, straight, trace

CLEARANCE_M = 34.0
PIECES = 10
LEFT_SHARE, CHICANE_SHARE = 0.5, 0.15
_TRIES = 12
_RADII = (24.0, 32.0, 40.0, 50.0, 64.0)
_ANGLES = (45.0, 60.0, 90.0, 120.0, 180.0)
_STRIDE = 20


def generate_blocks(seed: int) -> tuple[Block, ...]:
    """Blocks of a drivable track, the same for the same seed on every machine.

    Pieces are drawn one at a time and kept when the road stays clear of itself; a road that has
    boxed itself in drops its last pieces and goes on.

    Args:
        seed: any whole number from 0 up.
    """
    rng = np.random.default_rng(seed)
    pieces: list[tuple[Block, ...]] = [(straight(2.0),)]
    budget = 400
    while len(pieces) < PIECES and budget > 0:
        for _ in range(_TRIES):
            budget -= 1
            piece = _draw(rng)
            if _clear([*pieces, piece]):
                pieces.append(piece)
                break
        else:
            del pieces[max(1, len(pieces) - 3) :]
    return tuple(block for piece in pieces for block in piece)


def _draw(rng: np.random.Generator) -> tuple[Block, ...]:
    """A curve or a chicane, and the straight that leads out of it."""
    out = straight(float(rng.integers(1, 5)), grade=float(rng.choice([0.0, 0.0, 0.0, 0.08, -0.08])))
    radius = float(rng.choice(_RADII))
    turn = left if rng.random() < LEFT_SHARE else right
    if rng.random() < CHICANE_SHARE:
        return (*chicane(max(radius, 32.0), 40.0), out)
    return (turn(radius, float(rng.choice(_ANGLES))), out)


def _clear(pieces: list[tuple[Block, ...]]) -> bool:
    """Whether the road, with its run-off, keeps its distance from itself."""
    blocks = [block for piece in pieces for block in piece]
    road = [Block(BLOCK_M), *blocks, Block(2.5 * BLOCK_M)]
    points = trace(road)[::_STRIDE, [X, Y]]
    fresh = sum(block.length_m for block in pieces[-1]) + 2.5 * BLOCK_M
    newest = points[-math.ceil(fresh / (0.1 * _STRIDE)) :]
    return bool(_least_gap(points, newest) >= CLEARANCE_M)


def _least_gap(points: NDArray[np.float64], newest: NDArray[np.float64]) -> float:
    """Least distance between the newest points and any point well before them on the road."""
    behind = len(points) - len(newest) + np.arange(len(newest))
    apart = np.hypot(
        newest[:, None, 0] - points[None, :, 0], newest[:, None, 1] - points[None, :, 1]
    )
    along = (behind[:, None] - np.arange(len(points))[None, :]) * 0.1 * _STRIDE
    apart[along < 1.7 * CLEARANCE_M] = np.inf
    return float(apart.min())
