"""Rows of metrics: what the learner did since the row before."""

import time

import numpy as np
import numpy.typing as npt

from common.config import Config
from common.schedules import beta, epsilon
from learner.checkpoint import Progress
from learner.learner_step import StepResult, averaged
from replay_server.rate_limiter import LimiterState
from replay_server.rows import Row


class Measurements:
    """Collects the results of learner steps on the device; a row costs one transfer to the host.

    Args:
        config: schedules.
        incarnation: how often the learner of this run was started, counting this time.
    """

    def __init__(self, config: Config, *, incarnation: int) -> None:
        self._config = config
        self._incarnation = incarnation
        self._results: list[StepResult] = []
        self._staleness_sum = 0.0
        self._staleness_max = 0
        self._since = time.monotonic()
        self.updates_per_s = 0.0

    def add(
        self, result: StepResult, *, learner_steps: int, versions: npt.NDArray[np.int64]
    ) -> None:
        """Adds one learner step.

        Args:
            result: what the step returned, still on the device.
            learner_steps: learner steps before it.
            versions: int64 [batch], param version that drove each transition of its batch.
        """
        self._results.append(result)
        # Before the first weights actors drive at random and say -1, which is no version behind.
        staleness = np.maximum(learner_steps - np.maximum(versions, 0), 0)
        self._staleness_sum += float(staleness.mean())
        self._staleness_max = max(self._staleness_max, int(staleness.max()))

    def row(
        self,
        progress: Progress,
        *,
        learning_rate: float,
        replay_size: int,
        limiter: LimiterState | None,
    ) -> Row:
        """Returns the row over the steps since the last one, and starts the next."""
        now = time.monotonic()
        steps = len(self._results)
        self.updates_per_s = steps / max(now - self._since, 1e-9)
        row: Row = {
            "time": time.time(),
            "learner_incarnation": self._incarnation,
            "learner_steps": progress.learner_steps,
            "target_syncs": progress.target_syncs,
            "env_steps": progress.env_steps,
            "episodes": progress.episodes,
            "learning_rate": learning_rate,
            "epsilon": epsilon(
                self._config.exploration, env_steps=progress.env_steps, episodes=progress.episodes
            ),
            "beta": beta(self._config.replay, learner_steps=progress.learner_steps),
            "updates_per_s": self.updates_per_s,
            "staleness_mean": self._staleness_sum / steps,
            "staleness_max": self._staleness_max,
            "replay_size": replay_size,
            "samples_per_insert": self._samples_per_insert(limiter),
            **averaged(self._results),
        }
        self._results = []
        self._staleness_sum, self._staleness_max = 0.0, 0
        self._since = now
        return row

    def _samples_per_insert(self, limiter: LimiterState | None) -> float:
        """Returns the ratio reached so far, counted as the limiter does from its start size on."""
        if limiter is None:
            return 0.0
        return limiter.sampled / max(1, limiter.inserted - self._config.learner.first_sample_size)
