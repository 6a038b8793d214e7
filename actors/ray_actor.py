"""Actors and evaluator as Ray actors: thin shells, so that Ray places and restarts them."""

import contextlib
import threading
from pathlib import Path

import ray

from actors.drive import ActorPlace, DriveReport, run_actor
from actors.evaluator import Evaluator
from actors.process_setup import share_the_machine
from actors.trackmania.line_files import with_local_lines
from actors.trackmania.prerequisites import require_prerequisites
from common.config import Config
from common.contract import Contract
from common.keys import Keys
from common.machine_home import machine_home
from replay_server.announcement import get_reward_lines
from replay_server.connection import connect

_EVALUATOR_EXTRA_NICE = 5
_WORST_NICE = 19


class DrivingShell:
    """One actor of the fleet; Ray builds it anew after a crash and calls ``run`` again.

    Args:
        contract: of the run, with its configuration.
        redis_url: the run's Redis.
        run: name of the run.
        run_dir: folder of the run, for the spool; None on another machine than the run's, which keeps
            spool and reward lines in its own home.
        index: place in the fleet, from 0; also its name, ``actor-<index>``.
    """

    def __init__(
        self, contract: Contract, *, redis_url: str, run: str, run_dir: Path | None, index: int
    ) -> None:
        self._contract = contract
        self._redis_url = redis_url
        self._keys = Keys(run)
        self._here = run_dir is not None
        self._spool_dir = (machine_home() / "spool" / run) if run_dir is None else run_dir / "spool"
        count = contract.config.actors.count
        self._place = ActorPlace(f"actor-{index}", index=index, count=count)
        self._stop = threading.Event()

    @ray.method
    def run(self) -> DriveReport:
        """Drives until the run drains or stops; see ``actors.drive.run_actor``."""
        config = self._contract.config
        require_prerequisites(config.game)
        share_the_machine(_niceness(config))
        if not self._here:
            config = self._with_lines(config)
        report = run_actor(
            config,
            self._contract,
            redis_url=self._redis_url,
            keys=self._keys,
            place=self._place,
            spool_dir=self._spool_dir,
            stop=self._stop,
        )
        if not self._here:
            self._remove_empty_spool()
        return report

    @ray.method
    def stop(self) -> None:
        """Ends ``run`` soon."""
        self._stop.set()

    def _remove_empty_spool(self) -> None:
        """Leaves nothing on this machine unless something could not be sent."""
        for folder in (self._spool_dir / self._place.name, self._spool_dir, self._spool_dir.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _with_lines(self, config: Config) -> Config:
        """Takes the reward lines from Redis: the configuration's path is the other machine's."""
        connection = connect(self._redis_url, name=f"{self._place.name}-lines")
        try:
            lines = get_reward_lines(connection, self._keys)
        finally:
            connection.close()
        return with_local_lines(config, lines, folder=machine_home() / "reward-lines")


class EvaluatorShell:
    """The evaluator beside the fleet.

    Args:
        contract: of the run, with its configuration.
        redis_url: the run's Redis.
        run: name of the run.
        run_dir: folder of the run; the best policy is kept there.
    """

    def __init__(self, contract: Contract, *, redis_url: str, run: str, run_dir: Path) -> None:
        self._contract = contract
        self._redis_url = redis_url
        self._keys = Keys(run)
        self._run_dir = run_dir
        self._stop = threading.Event()

    @ray.method
    def run(self) -> None:
        """Evaluates until the run drains or stops; see ``actors.evaluator.Evaluator``."""
        config = self._contract.config
        share_the_machine(_niceness(config, extra=_EVALUATOR_EXTRA_NICE))
        Evaluator(
            config,
            self._contract,
            redis_url=self._redis_url,
            keys=self._keys,
            run_dir=self._run_dir,
            stop=self._stop,
        ).run()

    @ray.method
    def stop(self) -> None:
        """Ends ``run`` soon."""
        self._stop.set()


def _niceness(config: Config, *, extra: int = 0) -> int:
    """Returns how far a process stands back; one that drives in real time cannot."""
    return 0 if config.game.real_time else min(_WORST_NICE, config.actors.nice + extra)


DrivingActor = ray.remote(DrivingShell)
EvaluatorActor = ray.remote(EvaluatorShell)
