"""The named tracks, and loading one by name or by generator seed."""

from __future__ import annotations

import difflib
from functools import lru_cache

from actors.sim.blocks import Block, chicane, left, right, straight, walled
from actors.sim.generator import generate_blocks
from actors.sim.track import Track, build_track
from common.errors import ConfigError

GENERATED_PREFIX = "generated:"

_OPEN: dict[str, tuple[tuple[Block, ...], float]] = {
    "first-lap": (
        (
            straight(2),
            left(60, 90),
            straight(1),
            right(50, 90),
            straight(1.5),
            right(40, 90),
            straight(1),
            left(60, 60),
            straight(1.5),
        ),
        16.0,
    ),
    "chicane": (
        (
            straight(3),
            *chicane(40, 40),
            straight(2),
            right(60, 90),
            straight(1),
            *chicane(32, 45),
            straight(2),
            left(45, 90),
            straight(2),
        ),
        16.0,
    ),
    "hillclimb": (
        (
            straight(2),
            straight(2, grade=0.08),
            left(45, 90, grade=0.08),
            straight(2, grade=0.12),
            right(35, 90, grade=0.06),
            straight(2, grade=0.10),
            right(50, 60),
            straight(3, grade=-0.08),
            left(40, 90, grade=-0.04),
            straight(2),
        ),
        15.0,
    ),
    "hairpins": (
        (
            straight(4),
            left(20, 180),
            straight(3),
            right(18, 180),
            straight(4),
            left(16, 180),
            straight(3),
            right(24, 180),
            straight(3),
        ),
        15.0,
    ),
    "canyon": (
        (
            *walled(straight(3), right(40, 90), straight(2), left(28, 90), straight(2)),
            *walled(left(30, 60), right(30, 60), straight(2), right(22, 120), straight(3)),
        ),
        14.0,
    ),
    "grand-tour": (
        (
            straight(6),
            left(70, 90),
            straight(3),
            right(30, 90),
            straight(2, grade=0.10),
            right(45, 60, grade=0.06),
            straight(3, grade=-0.08),
            *chicane(36, 40),
            *walled(straight(2), left(24, 150), straight(3)),
            right(60, 120),
            straight(6),
            right(28, 90),
            straight(2),
            left(40, 60),
            straight(3),
        ),
        15.0,
    ),
}
_LAPS: dict[str, tuple[tuple[Block, ...], float]] = {
    "oval": ((straight(3), left(56, 180), straight(6), left(56, 180), straight(3)), 16.0),
}
TRACK_NAMES: tuple[str, ...] = tuple(sorted({**_OPEN, **_LAPS}))


@lru_cache(maxsize=64)
def load_track(name: str) -> Track:
    """The track called ``name``, or ``generated:<seed>``; built once per process.

    Args:
        name: one of ``TRACK_NAMES``, or ``generated:`` and a whole number.

    Raises:
        ConfigError: there is no such track.
    """
    if name.startswith(GENERATED_PREFIX):
        return _generated(name)
    for tracks, closed in ((_OPEN, False), (_LAPS, True)):
        if name in tracks:
            blocks, width_m = tracks[name]
            return build_track(name, blocks, width_m=width_m, closed=closed)
    close = difflib.get_close_matches(name, TRACK_NAMES, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        what=f"there is no track {name!r}",
        why=f"{meant}known tracks: {', '.join(TRACK_NAMES)}, {GENERATED_PREFIX}<seed>",
        fix=_track_fix(close[0] if close else "first-lap"),
    )


def _track_fix(name: str) -> str:
    """Returns what to type instead, for the commands that name a track."""
    return f"--track {name}; with train and doctor: --set game.track={name}"


def _generated(name: str) -> Track:
    seed = name.removeprefix(GENERATED_PREFIX)
    if not (seed.isascii() and seed.isdigit()):
        raise ConfigError(
            what=f"there is no track {name!r}",
            why="the seed of a generated track is a whole number from 0 up",
            fix=_track_fix(f"{GENERATED_PREFIX}7"),
        )
    return build_track(name, generate_blocks(int(seed)), width_m=16.0)
