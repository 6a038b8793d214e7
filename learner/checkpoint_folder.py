"""The ``checkpoints`` folder of a run: which checkpoints it keeps and which one is resumed from."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.config import CheckpointConfig
from common.errors import ConfigError, CorruptError
from common.policy_file import STATE, link_folder
from learner.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

_log = structlog.get_logger()

CHECKPOINTS = "checkpoints"
LATEST = "latest"
_INCARNATION = "incarnation"
_STEP_FOLDER = re.compile(r"step-(\d{9,})")
_UNFINISHED = re.compile(r"\.step-\d+\.\d+\.(tmp|old)")


@dataclass(frozen=True, slots=True)
class Resumable:
    """A checkpoint that passed its checks, and where it lies."""

    folder: Path
    checkpoint: Checkpoint


class CheckpointFolder:
    """Writes, lists and prunes the checkpoints of one run; one learner at a time.

    The evaluator keeps the best policy in the same folder under a name of its own, left alone here.

    Args:
        run_dir: folder of the run.
        config: how many checkpoints are kept.
    """

    def __init__(self, run_dir: Path, config: CheckpointConfig) -> None:
        self.path = run_dir / CHECKPOINTS
        self._config = config
        self.path.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.iterdir():
            if _UNFINISHED.fullmatch(leftover.name):
                shutil.rmtree(leftover)

    def folders(self) -> list[Path]:
        """Returns the checkpoints, oldest first."""
        found = [path for path in self.path.iterdir() if _STEP_FOLDER.fullmatch(path.name)]
        return sorted(found, key=_learner_steps)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes a checkpoint, points ``latest`` at it, and removes what need not be kept."""
        folder = self.path / f"step-{checkpoint.progress.learner_steps:09d}"
        save_checkpoint(folder, checkpoint)
        link_folder(self.path / LATEST, folder)
        self._prune()
        return folder

    def needed_from(self) -> int | None:
        """Returns the oldest transition id that a resume from a kept checkpoint reads, if any."""
        firsts = [_read_from(folder) for folder in self.folders()[-self._config.keep_last :]]
        known = [first for first in firsts if first is not None]
        return min(known) if known else None

    def newest_good(self) -> Resumable | None:
        """Returns the newest checkpoint that passes its checks; None where there is none at all.

        Damaged ones that are newer are moved aside under a name of their own; nothing is deleted.

        Raises:
            CorruptError: there are checkpoints and all of them are damaged.
            MismatchError: the newest good one was written by another version.
        """
        damaged: list[Path] = []
        for folder in reversed(self.folders()):
            try:
                checkpoint = load_checkpoint(folder)
            except (CorruptError, ConfigError) as error:
                _log.error("checkpoint_damaged", folder=str(folder), what=error.what, why=error.why)
                damaged.append(folder)
                continue
            for refused in damaged:
                _set_aside(refused)
            link_folder(self.path / LATEST, folder)
            return Resumable(folder, checkpoint)
        if damaged:
            raise CorruptError(
                f"None of the {len(damaged)} checkpoints in {self.path} can be read.",
                "Every one of them failed its check; the log names the file of each.",
                f"Restore one from a backup, or move {self.path} away to start fresh.",
            )
        return None

    def next_incarnation(self) -> int:
        """Counts the starts of this run's learner, from 1, in a small file of its own."""
        counter = self.path / _INCARNATION
        before = counter.read_text().strip() if counter.exists() else ""
        incarnation = int(before) + 1 if before.isdigit() else 1
        beside = counter.with_name(f".{_INCARNATION}.tmp")
        beside.write_text(f"{incarnation}\n")
        beside.replace(counter)
        return incarnation

    def _prune(self) -> None:
        for folder in self.folders()[: -self._config.keep_last]:
            shutil.rmtree(folder)


def _learner_steps(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _read_from(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / STATE).read_bytes())["read_from"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _set_aside(folder: Path) -> None:
    """Renames a damaged checkpoint so that a new one can take its name."""
    number = 1
    while (aside := folder.with_name(f"damaged-{number}-{folder.name}")).exists():
        number += 1
    folder.rename(aside)
    _log.warning("checkpoint_set_aside", folder=str(aside))
