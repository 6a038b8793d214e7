"""``run.json``: what was started, when, with which settings, and how each start ended."""

import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from common.config import Config
from common.contract import code_version
from common.critical import critical_changes
from common.errors import CorruptError
from deploy.redis_listen import Listen
from deploy.run_files import read_values
from deploy.run_folder import RunFolder, write_json

PRIVATE = "private"
"""What the record names where a run has a Redis of its own."""


@dataclass(slots=True)
class RunRecord:
    """The record of one run, one entry for each time it was started.

    Attributes:
        folder: the run.
        values: what the file holds.
    """

    folder: RunFolder
    values: dict[str, Any]

    @classmethod
    def open(cls, folder: RunFolder) -> "RunRecord":
        """Reads the record of a run, empty for a new one.

        Raises:
            CorruptError: the file is damaged.
        """
        values = read_values(folder.record_file)
        starts = values.get("starts", [])
        if not (isinstance(starts, list) and all(isinstance(start, dict) for start in starts)):
            raise CorruptError(
                f"{folder.record_file} is damaged.",
                "its starts are no list of objects",
                "restore it from a copy, or delete it",
            )
        return cls(folder, values)

    @property
    def wall_s(self) -> float:
        """Seconds that the run took over all its starts."""
        return sum(float(start.get("wall_s", 0.0)) for start in self.values.get("starts", []))

    @property
    def preset(self) -> str:
        """Preset that the run began with."""
        return str(self.values.get("preset", "proven"))

    @property
    def redis(self) -> str:
        """``private``, or the address of the user's own Redis without its password."""
        return str(self.values.get("redis", PRIVATE))

    @property
    def listen(self) -> Listen | None:
        """Where its Redis listens for other machines, or None for loopback alone.

        Raises:
            CorruptError: the record is damaged.
        """
        values = self.values.get("listen")
        return Listen.from_dict(values) if isinstance(values, dict) else None

    def begin(
        self,
        *,
        config: Config,
        preset: str,
        redis: str,
        command: list[str],
        listen: Listen | None = None,
    ) -> None:
        """Adds a start.

        Args:
            config: resolved configuration.
            preset: its starting point.
            redis: which Redis, without a password.
            command: the command line.
            listen: where its Redis listens for other machines, kept for the next start.
        """
        self.values |= {"run": self.folder.name, "preset": preset, "redis": redis}
        self.values["listen"] = None if listen is None else listen.to_dict()
        self.values["critical_changes"] = [
            {"key": key, "proven": proven, "chosen": chosen}
            for key, proven, chosen in critical_changes(config)
        ]
        self.values.setdefault("starts", []).append(
            {
                "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "command": command,
                "apexmania": version("apexmania"),
                "code_version": code_version(),
                "python": platform.python_version(),
                "platform": sys.platform,
            }
        )
        self._write()

    def end(self, *, wall_s: float, reason: str) -> None:
        """Completes the newest start.

        Args:
            wall_s: seconds it took.
            reason: why it ended.
        """
        self.values["starts"][-1] |= {"wall_s": round(wall_s, 1), "end_reason": reason}
        self._write()

    def _write(self) -> None:
        write_json(self.folder.record_file, self.values)
