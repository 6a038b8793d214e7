"""The learner as a Ray actor: a thin shell around the loop."""

from pathlib import Path

import ray

from common.contract import Contract
from common.keys import Keys
from learner.checkpoint import Progress
from learner.loop import run_learner


class LearnerShell:
    """Holds what the loop needs; Ray builds it anew after a crash and calls ``run`` again.

    Args:
        contract: of the run; its configuration and game spec are the learner's.
        redis_url: the run's Redis.
        run: name of the run.
        run_dir: folder of the run.
        resume: whether the launcher expects a checkpoint there.
    """

    def __init__(
        self, contract: Contract, *, redis_url: str, run: str, run_dir: Path, resume: bool
    ) -> None:
        self._contract = contract
        self._redis_url = redis_url
        self._run = run
        self._run_dir = run_dir
        self._resume = resume

    @ray.method
    def run(self) -> Progress:
        """Learns until the run drains or stops; see ``learner.loop.run_learner``."""
        return run_learner(
            self._contract.config,
            self._contract.spec,
            self._contract,
            redis_url=self._redis_url,
            keys=Keys(self._run),
            run_dir=self._run_dir,
            resume=self._resume,
        )


LearnerActor = ray.remote(LearnerShell)
