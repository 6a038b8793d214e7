"""The folder of one run: its lock, its files, and how they are written whole or not at all."""

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np

from common.config import Config
from common.errors import ConfigError
from deploy.config_file import load_config, to_yaml

DEFAULT_RUNS = Path("runs")
_LOCK_PATIENCE_S = 1.0
_LOCK_RETRY_S = 0.05
_WORDS = [
    "amber",
    "apex",
    "banked",
    "brisk",
    "chicane",
    "clipping",
    "cobalt",
    "crest",
    "drift",
    "eager",
    "esses",
    "fast",
    "flatout",
    "gravel",
    "grippy",
    "hairpin",
    "humming",
    "ivory",
    "kerb",
    "lively",
    "loop",
    "minty",
    "neat",
    "nimble",
    "oval",
    "paddock",
    "quick",
    "rally",
    "ruby",
    "silver",
    "slick",
    "smooth",
    "snappy",
    "straight",
    "sunny",
    "swift",
    "tarmac",
    "throttle",
    "turbo",
    "velvet",
    "vivid",
    "zippy",
]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run.

    Attributes:
        path: the folder, absolute.
    """

    path: Path

    @property
    def name(self) -> str:
        """The run's name, which is also its name in Redis."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def record_file(self) -> Path:
        """What started when, with which Redis, and which critical settings were changed."""
        return self.path / "run.json"

    @property
    def summary_file(self) -> Path:
        """The results."""
        return self.path / "summary.json"

    @property
    def metrics_file(self) -> Path:
        """One row of learner metrics a line."""
        return self.path / "metrics.jsonl"

    @property
    def episodes_file(self) -> Path:
        """One finished episode a line."""
        return self.path / "episodes.jsonl"

    @property
    def evaluations_file(self) -> Path:
        """One greedy evaluation a line."""
        return self.path / "evaluations.jsonl"

    @property
    def fleet_file(self) -> Path:
        """One look at all processes a line."""
        return self.path / "fleet.jsonl"

    @property
    def health_file(self) -> Path:
        """One change of a health check a line."""
        return self.path / "health.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of the learner."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Logs of every process."""
        return self.path / "logs"

    @property
    def plots(self) -> Path:
        """Pictures."""
        return self.path / "plots"

    @property
    def videos(self) -> Path:
        """Videos."""
        return self.path / "videos"

    @property
    def redis(self) -> Path:
        """Data, password and configuration of the private Redis."""
        return self.path / "redis"

    @property
    def lock_file(self) -> Path:
        """Held by the process that runs in this folder."""
        return self.path / "lock"

    def prepare(self, config: Config) -> None:
        """Makes the folders and writes the resolved configuration."""
        for folder in (self.checkpoints, self.logs, self.plots, self.videos):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, to_yaml(config))

    def read_config(self) -> Config:
        """Returns the configuration that the run was started with."""
        return load_config(file=self.config_file)

    def in_use(self) -> bool:
        """Tells whether a process runs in this folder now; writes nothing, so anybody may ask.

        A lock file that we may not read says nothing, and counts as not in use.
        """
        try:
            stream = self.lock_file.open("rb")
        except (FileNotFoundError, PermissionError):
            return False
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


class RunLock:
    """Holds a run folder for one process; the kernel lets go when that process dies."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._stream: TextIO | None = None

    def __enter__(self) -> Self:
        """Takes the lock; a reader who looks whether it is held has it for a moment.

        Raises:
            ConfigError: another process holds it.
        """
        stream = self._folder.lock_file.open("a+", encoding="utf-8")
        try:
            _lock_patiently(stream)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip()
            stream.close()
            raise ConfigError(
                f"The run folder {str(self._folder.path)!r} is in use.",
                f"process {holder or 'of unknown id'} holds its lock",
                f"stop it with Ctrl-C or: kill -INT {holder or 'PID'}; or choose another --run-dir",
            ) from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        self._stream = stream
        return self

    def __exit__(self, *_: object) -> None:
        """Lets go of the folder."""
        assert self._stream is not None
        self._stream.close()


def _lock_patiently(stream: TextIO) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_RETRY_S)
        else:
            return


def create(*, runs: Path, preset: str | None, path: Path | None = None) -> RunFolder:
    """Makes a new run folder and points ``latest`` at it.

    Args:
        runs: folder that holds the runs.
        preset: part of the name.
        path: the folder to use instead of a made-up name.

    Raises:
        ConfigError: ``path`` already holds a run.
    """
    if path is not None:
        folder = RunFolder(path.resolve())
        if folder.config_file.exists():
            raise ConfigError(
                f"{str(path)!r} already holds a run.",
                "a new run would mix its files with the old ones",
                f"apexmania train --resume {path}, or choose another --run-dir",
            )
        folder.path.mkdir(parents=True, exist_ok=True)
        return folder
    runs = runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    while True:
        word = _WORDS[int(np.random.default_rng().integers(len(_WORDS)))]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        folder = RunFolder(runs / f"{stamp}-{preset or 'proven'}-{word}")
        try:
            folder.path.mkdir()
        except FileExistsError:
            continue
        point_latest(folder)
        return folder


def point_latest(folder: RunFolder) -> None:
    """Points ``latest`` beside a run folder at it."""
    link = folder.path.parent / "latest"
    if link.exists() and not link.is_symlink():
        return
    beside = link.with_name(f".latest-{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(folder.path.name, target_is_directory=True)
    beside.replace(link)


def open_run(path: Path) -> RunFolder:
    """Returns an existing run.

    Args:
        path: the folder, or a link to it.

    Raises:
        ConfigError: there is no run.
    """
    folder = RunFolder(path.resolve())
    if not folder.config_file.exists():
        if path.name == "latest" and not all_runs(path.parent):
            raise ConfigError(
                f"There is no run yet in {str(path.parent)!r}.",
                "a training makes the first one",
                "apexmania train --preset quickstart",
            )
        raise ConfigError(
            f"{str(path)!r} is no run.",
            f"there is no {folder.config_file}",
            "apexmania runs list",
        )
    return folder


def all_runs(runs: Path) -> list[RunFolder]:
    """Returns all runs in a folder, oldest first."""
    if not runs.is_dir():
        return []
    found = [
        RunFolder(entry.resolve())
        for entry in sorted(runs.iterdir())
        if entry.is_dir() and not entry.is_symlink()
    ]
    return [folder for folder in found if folder.config_file.exists()]


def write_text(file: Path, text: str) -> None:
    """Writes a file beside its place and renames it, so that no reader ever sees half of it."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file whole."""
    write_text(file, json.dumps(values, indent=2, allow_nan=False) + "\n")
