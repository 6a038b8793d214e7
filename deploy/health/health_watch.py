"""The launcher's eye on the run's health: judges rows as they come, and tells what changed."""

import socket
import time
from collections.abc import Callable
from typing import Any, Self

import structlog

from common.config import Config
from deploy.health.alerts import Alerts, webhook_address
from deploy.health.fleet_row import FleetBook
from deploy.health.health_text import change_text, headline
from deploy.health.recorded_health import read_health
from deploy.health.run_health import Change, described
from deploy.jsonl_file import JsonlFile
from deploy.run_folder import RunFolder
from deploy.run_progress import Row, RunProgress

PERIOD_S = 10.0
_log = structlog.get_logger()


class HealthWatch:
    """The checks of a running run.

    It writes a row of the fleet each 10 s to ``fleet.jsonl`` and every change of a check to
    ``health.jsonl``; what turns red or heals it also says on the console and sends as an alert.

    Args:
        folder: the run, with the rows of its earlier starts.
        config: of the run.
        progress: takes the headline for the live table.
        alerts: told of what turns red or heals.
        say: prints a line that stays.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        *,
        progress: RunProgress,
        alerts: Alerts,
        say: Callable[[str], None],
    ) -> None:
        self._run = folder.name
        self._progress = progress
        self._alerts = alerts
        self._say = say
        self._health = read_health(folder, config)
        self._fleet_file = JsonlFile(folder.fleet_file, may_be_damaged=True)
        self._health_file = JsonlFile(folder.health_file, may_be_damaged=True)
        self._book = FleetBook()
        self._away = False
        self._due_s = time.monotonic() + PERIOD_S

    @classmethod
    def open(
        cls, folder: RunFolder, config: Config, *, progress: RunProgress, say: Callable[[str], None]
    ) -> Self:
        """Returns a watch with alerts to whom configuration and environment name."""
        alerts = Alerts(config.alerts, webhook=webhook_address())
        alerts.start()
        return cls(folder, config, progress=progress, alerts=alerts, say=say)

    def close(self) -> None:
        """Sends the last alerts, for a few seconds at most."""
        self._alerts.close()

    def add_metrics(self, row: Row) -> None:
        """Judges a row of learner metrics."""
        self._tell(self._health.add_metrics(row))

    def add_episode(self, row: Row) -> None:
        """Judges a finished episode."""
        self._tell(self._health.add_episode(row))

    def look(self, hearts: dict[str, Row], *, redis_away_s: float = 0.0) -> None:
        """Judges the fleet each 10 s; call it often.

        While Redis is away nobody counts as lost, nor until a full period after it came back.

        Args:
            hearts: newest heartbeat of each process.
            redis_away_s: for how long Redis has not answered.
        """
        now_s = time.monotonic()
        if redis_away_s:
            self._book.pause(now_s)
        elif self._away:
            self._book.pause(now_s)
            self._due_s = now_s + PERIOD_S
        self._away = redis_away_s > 0.0
        hearts = self._book.staying(hearts)
        if now_s < self._due_s or not (hearts or self._book.knows_anybody):
            return
        self._due_s = now_s + PERIOD_S
        row = self._book.row(
            hearts,
            now_s=now_s,
            time=time.time(),
            env_steps=self._progress.env_steps,
            episodes=self._progress.episodes,
            redis_away_s=redis_away_s,
        )
        self._fleet_file.append([(_entry_id(), row)])
        self._tell(self._health.add_fleet(row))

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            row = {"time": time.time(), "before": change.before, **described(*change.now)}
            self._health_file.append([(_entry_id(), row)])
            if change.alarming:
                text = change_text(change)
                _log.warning("health_changed", check=change.rule.name, state=change.check.state)
                self._say(text)
                self._alerts.send(self._alert(row, text))
        if changes:
            self._progress.health = headline(self._health)

    def _alert(self, row: Row, text: str) -> dict[str, Any]:
        return {
            "run": self._run,
            "host": socket.gethostname(),
            "text": f"{self._run}: {text}",
            **row,
        }


def _entry_id() -> bytes:
    return f"{time.time_ns()}".encode()
