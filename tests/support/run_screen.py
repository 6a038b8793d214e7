"""What the people in front of a run see of it, and what its launcher makes of it."""

import io
import json
import time
from pathlib import Path
from typing import Self

import redis
from rich.console import Console

from common.config import Config
from common.health_config import AlertsConfig
from common.keys import Keys
from deploy.commands.status import fleet_lines
from deploy.console import LiveConsole, plain_line
from deploy.health.alerts import Alerts
from deploy.health.fleet_row import FleetBook
from deploy.health.health_watch import HealthWatch
from deploy.run_folder import RunFolder
from deploy.run_progress import RunProgress
from replay_server.hearts import read_all


class RunScreen:
    """Shows a run as its launcher and ``status`` do, and keeps what went to the terminal.

    Args:
        connection: the run's Redis.
        keys: the run.
        folder: for what the launcher writes.
    """

    def __init__(self, connection: redis.Redis, keys: Keys, folder: Path) -> None:
        self._redis = connection
        self._keys = keys
        self._terminal = io.StringIO()
        self._progress = RunProgress()
        self._console = LiveConsole(
            Console(file=self._terminal, force_terminal=True, width=150), title="run"
        )
        self._watch = HealthWatch(
            RunFolder(folder),
            Config(),
            progress=self._progress,
            alerts=Alerts(AlertsConfig(), webhook=""),
            say=self._console.say,
        )
        self._book = FleetBook()

    def __enter__(self) -> Self:
        self._console.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._console.__exit__()

    def show(self) -> None:
        hearts = read_all(self._redis, self._keys)
        self._progress.hearts = hearts
        self._watch.look(hearts)
        row = self._book.row(
            hearts, now_s=time.monotonic(), time=time.time(), env_steps=0, episodes=0
        )
        self._console.show(self._progress, elapsed_s=1.0, left="")
        lines = [
            plain_line(self._progress, elapsed_s=1.0, left=""),
            *fleet_lines(self._progress, real_time=True),
            json.dumps(hearts, default=len, allow_nan=False),
            json.dumps(row, allow_nan=False),
        ]
        self._terminal.write("\n".join(lines))
        assert "pwned" not in self._terminal.getvalue()
