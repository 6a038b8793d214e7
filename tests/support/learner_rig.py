"""A run for tests of the learner: a real log in a real Redis, and a real replay service over it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.config import Config
from common.contract import Contract, make_contract
from common.keys import Keys
from learner.checkpoint import Progress
from learner.loop import run_learner
from replay_server.connection import connect
from replay_server.log_writer import LogWriter
from replay_server.server import ReplayServer
from replay_server.service import ReplayService
from tests.support.driving import Driver
from tests.support.learner_inputs import SMALL, small_config
from tests.support.replay_rig import register_actor


@dataclass(frozen=True)
class LearnerRun:
    """One run: its configuration, its place in Redis and its folder."""

    url: str
    keys: Keys
    run_dir: Path
    config: Config

    @property
    def contract(self) -> Contract:
        return make_contract(self.config, SMALL)

    def drive(self, *, episodes: int, steps: int = 70, actor: str = "a1", seed: int = 0) -> None:
        """Writes episodes to the log as an actor does."""
        register_actor(self.url, self.keys, actor)
        writer = LogWriter(
            self.url,
            self.keys,
            actor,
            spool_dir=None,
            spool_max_bytes=10**8,
            contract=self.contract.fingerprint,
        )
        driver = Driver(
            SMALL,
            actor=actor,
            n_step=self.config.learner.n_step,
            contract=self.contract.fingerprint,
            seed=seed,
        )
        for episode in range(episodes):
            for segment in driver.episode(steps, terminated=episode % 2 == 0)[0]:
                writer.append(segment)
        assert writer.flush(20)
        writer.close()

    @contextmanager
    def serving(self, *, expected_ids: int = 0) -> Iterator[ReplayService]:
        """Serves the replay on a thread; returns once so many ids are indexed."""
        connection = connect(self.url, name="service")
        service = ReplayService(
            connection,
            self.keys,
            contract=self.contract,
            replay=self.config.replay,
            learner=self.config.learner,
        )
        while service.stats()["next_id"] < expected_ids:
            service.ingest(block_ms=100)
        server = ReplayServer(service, connection, self.keys)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield service
        finally:
            server.stop()
            thread.join()
            connection.close()

    def learn(self, until: int | None, *, run_dir: Path | None = None) -> Progress:
        """Runs the learner to a learner step, or until the run drains."""
        return run_learner(
            self.config,
            SMALL,
            self.contract,
            redis_url=self.url,
            keys=self.keys,
            run_dir=run_dir or self.run_dir,
            until_learner_step=until,
        )


def make_run(url: str, keys: Keys, run_dir: Path, config: Config | None = None) -> LearnerRun:
    return LearnerRun(url, keys, run_dir, config or small_config())
