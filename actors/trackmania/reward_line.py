"""The reward line of a map: where a lap leads, as points 0.1 m apart, and its file.

Progress is measured along it and split times are taken at distances on it. One file holds the line of
one map; which line belongs to a race is told by where the car stands at the start.

    <name>.npz   version   int64 ()
                 name      str ()
                 points    float64 (N, 3), x, y, z in metres, y up, as the game's telemetry gives them
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actors.standin.map_place import game_points
from common.array_file import read_arrays
from common.errors import ConfigError, CorruptError, MachineError
from common.output_folder import make_output_folder

if TYPE_CHECKING:
    from actors.sim.track import Track

SPACING_M = 0.1
NEAREST_WITHIN_M = 10.0
MAX_POINTS = 1_000_000
SUFFIX = ".npz"
_VERSION = 1
_KEYS = frozenset({"version", "name", "points"})
_AXES = 3
_FEWEST_POINTS = 2
_GAP_LEAST_M, _GAP_MOST_M = 0.05, 0.15
_FARTHEST_M = 1e5
_MAX_NAME = 200
_MAX_BYTES = MAX_POINTS * _AXES * 8 + 4096
_RECORD = "apexmania game record-line --name MAP --out lines/MAP.npz"


@dataclass(frozen=True, eq=False, slots=True)
class RewardLine:
    """The way from the start of a map to its finish, in the game's own axes.

    Attributes:
        name: the map, for people.
        points: float64 [point, 3], read-only: x, y (up), z in metres, 0.1 m apart, in driving order.
    """

    name: str
    points: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Checks the points and makes them read-only.

        Raises:
            ConfigError: they are no line of finite points 0.1 m apart.
        """
        points = np.array(self.points, dtype=np.float64, order="C")
        fault = _fault_of(points)
        if fault:
            raise ConfigError(
                f"The reward line {self.name!r} is not usable.",
                fault,
                f"record it again: {_RECORD}",
            )
        points.setflags(write=False)
        object.__setattr__(self, "points", points)

    @classmethod
    def from_track(cls, track: Track) -> RewardLine:
        """Returns the line of a simulated track where the stand-in shows it."""
        return cls(track.name, game_points(track, track.reward_line))

    @property
    def start(self) -> tuple[float, float, float]:
        """x, y, z of the first point, metres."""
        x, y, z = self.points[0].tolist()
        return x, y, z

    @property
    def length_m(self) -> float:
        """Metres from the first point to the last, as the number of gaps tells."""
        return (len(self.points) - 1) * SPACING_M

    @property
    def content_hash(self) -> str:
        """SHA-256 of the points to the millimetre, whatever the name."""
        return hashlib.sha256(np.round(self.points * 1000.0).astype("<i8").tobytes()).hexdigest()


def save_line(line: RewardLine, path: Path) -> None:
    """Writes the file of a line in one step; one that is there is replaced.

    Args:
        line: what to write.
        path: ends in ``.npz``; its folder is made.

    Raises:
        ConfigError: the name is no ``.npz``.
        MachineError: the system refuses it.
    """
    check_line_file(path)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        version=np.array(_VERSION, dtype=np.int64),
        name=np.array(line.name),
        points=line.points,
    )
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content.getvalue())
        beside.replace(path)
    except OSError as error:
        raise MachineError(
            f"The reward line {path} cannot be written.",
            str(error),
            "name a path in a folder of your own, for instance lines/MAP.npz",
        ) from error


def check_line_file(path: Path) -> None:
    """Checks where a line shall be written, before a lap is driven for it, and makes the folder.

    Raises:
        ConfigError: the name is no ``.npz``, or a folder.
        MachineError: its folder cannot be made.
    """
    if path.suffix != SUFFIX or path.is_dir():
        raise ConfigError(
            f"No reward line can be written to {str(path)!r}.",
            "it is a folder" if path.is_dir() else f"the name of a reward line ends in {SUFFIX}",
            f"name a file, for instance {path.with_suffix('') / 'MAP.npz' if path.is_dir() else path.with_suffix(SUFFIX)}",
        )
    make_output_folder(path.parent)


def load_line(path: Path) -> RewardLine:
    """Returns the line in a file, every value of which is checked; nothing is ever unpickled.

    Raises:
        ConfigError: there is no such file.
        CorruptError: it is no reward line, or a damaged one.
    """
    if not path.is_file():
        raise _missing(path)
    try:
        arrays = read_arrays(path, keys=_KEYS, max_bytes=_MAX_BYTES)
        return RewardLine(_checked_name(arrays), arrays["points"])
    except ValueError as error:
        raise _corrupt(path, str(error)) from error
    except ConfigError as error:
        raise _corrupt(path, error.why) from error


def load_lines(path: Path) -> tuple[RewardLine, ...]:
    """Returns the lines in a file or in all ``.npz`` files of a folder, by file name.

    Raises:
        ConfigError: there is no such path, or the folder holds no line.
        CorruptError: a file is no reward line, or a damaged one.
    """
    if not path.is_dir():
        return (load_line(path),)
    files = sorted(path.glob(f"*{SUFFIX}"))
    if not files:
        raise _missing(path)
    return tuple(load_line(file) for file in files)


def nearest_line(
    lines: Iterable[RewardLine], start: Sequence[float], *, within_m: float = NEAREST_WITHIN_M
) -> RewardLine | None:
    """Returns the line that begins nearest to where a car stands at the start of a race.

    Args:
        lines: the known ones.
        start: x, y, z of the car, metres.
        within_m: farther away than this it is another map.
    """
    here = np.asarray(start, dtype=np.float64)
    distances = [(float(np.linalg.norm(line.points[0] - here)), line) for line in lines]
    near = [pair for pair in distances if pair[0] <= within_m]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _fault_of(points: NDArray[np.float64]) -> str:
    """Returns why points are no reward line, or nothing."""
    if points.ndim != _FEWEST_POINTS or points.shape[1:] != (_AXES,):
        return f"its points have the shape {points.shape} and not (N, {_AXES})"
    if not _FEWEST_POINTS <= len(points) <= MAX_POINTS:
        return f"it has {len(points):,} points; {_FEWEST_POINTS} to {MAX_POINTS:,} are possible"
    if not np.isfinite(points).all() or np.abs(points).max() > _FARTHEST_M:
        return "it has points that are not finite, or farther than 100 km from the origin"
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    odd = np.flatnonzero((gaps < _GAP_LEAST_M) | (gaps > _GAP_MOST_M))
    if len(odd):
        return (
            f"points {odd[0]} and {odd[0] + 1} are {gaps[odd[0]]:.3f} m apart and not {SPACING_M}"
        )
    return ""


def _checked_name(arrays: dict[str, NDArray[Any]]) -> str:
    """Returns the name in a file whose version is ours, else raises ValueError with the reason."""
    version, name = arrays["version"], arrays["name"]
    if version.shape != () or version.dtype.kind != "i" or int(version) != _VERSION:
        msg = f"its version is {version.tolist()!r}; this program reads version {_VERSION}"
        raise ValueError(msg)
    if name.shape != () or name.dtype.kind != "U" or len(str(name)) > _MAX_NAME:
        msg = f"its name is no text of at most {_MAX_NAME} characters"
        raise ValueError(msg)
    if arrays["points"].dtype != np.float64:
        msg = f"its points are {arrays['points'].dtype} and not float64"
        raise ValueError(msg)
    return str(name)


def _missing(path: Path) -> ConfigError:
    return ConfigError(
        f"There is no reward line at {str(path)!r}.",
        f"it names no file, or a folder without {SUFFIX} files",
        f"record one: {_RECORD}",
    )


def _corrupt(path: Path, why: str) -> CorruptError:
    return CorruptError(
        f"The reward line {path} was refused.",
        why,
        f"record it again: {_RECORD} --force",
    )
