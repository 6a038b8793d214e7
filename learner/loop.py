"""The learner's loop: follow the log, sample, step, return priorities, publish, checkpoint.

It is crash-only: started again after any end, it resumes from the newest good checkpoint, restores the
replay service, reads its part of the log again, and goes on.
"""

import contextlib
import os
import time
from pathlib import Path

import structlog
import torch

from common import schedules
from common.config import Config
from common.contract import Contract
from common.errors import UnreachableError
from common.game_spec import GameSpec
from common.keys import Keys
from learner.broadcast import Broadcaster
from learner.checkpoint import Checkpoint, Progress, require_same_run
from learner.checkpoint_folder import CheckpointFolder, Resumable
from learner.frame_store import FrameStore
from learner.ingest import IndexFollower, LogFeed
from learner.learner_state import capture, install
from learner.learner_step import choose_device, make_step
from learner.measurements import Measurements
from learner.priority_transfer import PriorityTransfer
from learner.reporter import Reporter
from learner.sampler import SampledBatch, Sampler, Window
from replay_server.client import ReplayClient
from replay_server.connection import connect

_log = structlog.get_logger()

_IDLE_S = 0.02
_SAY_S = 0.5
_RESTORE_PAUSE_S = 0.2


def run_learner(
    config: Config,
    spec: GameSpec,
    contract: Contract,
    *,
    redis_url: str,
    keys: Keys,
    run_dir: Path,
    resume: bool = False,
    until_learner_step: int | None = None,
) -> Progress:
    """Learns until the run drains or stops, and returns how far it came.

    Args:
        config: resolved configuration.
        spec: the game.
        contract: what segments and checkpoints must agree with.
        redis_url: the run's Redis.
        keys: keyspace of the run.
        run_dir: folder of the run; checkpoints there are always resumed from.
        resume: whether the caller expects one; only the log says so when there is none.
        until_learner_step: return after this learner step, with a checkpoint; None never does.

    Raises:
        CorruptError: checkpoints exist and none passes its checks.
        MismatchError: the newest belongs to another game or version.
        ApexManiaError: the learner diverged.
    """
    torch.set_num_threads(config.learner.threads)
    learner = Learner(config, spec, contract, redis_url=redis_url, keys=keys, run_dir=run_dir)
    try:
        learner.start(expects_checkpoint=resume)
        learner.learn(until_learner_step)
        return learner.finish()
    finally:
        learner.close()


class Learner:
    """One life of the learner process: ``start``, ``learn``, ``finish``, ``close``.

    Args: as ``run_learner``.
    """

    def __init__(
        self,
        config: Config,
        spec: GameSpec,
        contract: Contract,
        *,
        redis_url: str,
        keys: Keys,
        run_dir: Path,
    ) -> None:
        self._config = config
        self._spec = spec
        self._contract = contract
        self._url = redis_url
        self._keys = keys
        self._device = choose_device(config)
        self._step = make_step(config, spec, self._device)
        self._store = FrameStore(
            spec,
            capacity=config.replay.capacity,
            n_step=config.learner.n_step,
            discount=config.learner.discount,
            batch_size=config.learner.batch_size,
            device=self._device,
        )
        self._checkpoints = CheckpointFolder(run_dir, config.checkpoint)
        self._connection = connect(redis_url, name="learner-replay")
        self._client = ReplayClient(self._connection, keys)
        self._sampler = Sampler(self._client, config)
        self._transfer = PriorityTransfer(self._device)
        self._broadcaster = Broadcaster(redis_url, keys, contract.fingerprint)
        self._reporter = Reporter(redis_url, keys)
        self._measurements = Measurements(config, incarnation=self._checkpoints.next_incarnation())
        self._feed: LogFeed | None = None
        self._learning_rate = config.learner.learning_rate.initial
        self._resumed: Progress | None = None
        self._needed_from: int | None = None
        self._saved_episodes = 0
        self._saved_at = time.monotonic()
        self._saved_step: int | None = None
        self._said_at = 0.0

    @property
    def progress(self) -> Progress:
        """How far the learner is."""
        return Progress(
            learner_steps=self._step.learner_steps,
            target_syncs=self._step.target_syncs,
            env_steps=self._store.high,
            episodes=self._episodes,
        )

    @property
    def _episodes(self) -> int:
        if self._feed is not None:
            return self._feed.episodes
        return self._resumed.episodes if self._resumed else 0

    def start(self, *, expects_checkpoint: bool) -> None:
        """Resumes or starts fresh, publishes weights, and reads the log up to now."""
        self._reporter.start()
        self._broadcaster.start()
        found = self._checkpoints.newest_good()
        if found is None:
            _log.log(30 if expects_checkpoint else 20, "starting_fresh", device=str(self._device))
        else:
            self._resume(found)
        self._publish()
        self._feed = LogFeed(
            IndexFollower(
                self._url,
                self._keys,
                self._spec,
                after=found.checkpoint.read_from if found else None,
            ),
            self._store,
            self._sampler,
            counted=self._resumed,
        )
        self._feed.start()
        for doing in self._feed.catching_up():
            self._say(doing)
            if self._is_over(None):
                break
        self._follow_learning_rate()
        if found is not None:
            self._store.forget_before(found.checkpoint.low)
        _log.info("log_read", low=self._store.low, high=self._store.high)

    def learn(self, until_learner_step: int | None) -> None:
        """Learns until a learner step, or until the run drains or stops."""
        while not self._is_over(until_learner_step):
            self._ingest()
            batch = self._sampler.take(self._window())
            if batch is None:
                self._wait(self._sampler.status)
                continue
            self._train(batch)
            self._report()
            if self._checkpoint_is_due():
                self._save()

    def finish(self) -> Progress:
        """Writes a last checkpoint where there is something new and the run was not stopped."""
        is_new = self._saved_step != self._step.learner_steps
        if is_new and self._reporter.control_state != "stopped":
            self._save()
        return self.progress

    def close(self) -> None:
        """Stops the threads; what they hold is sent first where Redis answers."""
        with contextlib.ExitStack() as closing:
            closing.callback(self._connection.close)
            closing.callback(self._client.close)
            closing.callback(self._reporter.close)
            closing.callback(self._broadcaster.close)
            if self._feed is not None:
                closing.callback(self._feed.close)
            # First, and it raises where the reporter failed.
            self._say("stopped")

    def _resume(self, found: Resumable) -> None:
        """Puts a checkpoint's learner, sampler and replay service back."""
        checkpoint = found.checkpoint
        require_same_run(checkpoint, contract=self._contract, config=self._config)
        install(self._step, checkpoint.learner)
        progress = checkpoint.progress
        self._step.learner_steps = progress.learner_steps
        self._step.target_syncs = progress.target_syncs
        self._resumed = progress
        self._saved_episodes = progress.episodes
        self._saved_step = progress.learner_steps
        self._needed_from = self._checkpoints.needed_from()
        self._follow_learning_rate()
        self._restore_service(checkpoint)
        _log.info("resumed", folder=str(found.folder), learner_steps=progress.learner_steps)

    def _restore_service(self, checkpoint: Checkpoint) -> None:
        """Waits for the replay service, which may be starting too, and gives it its state back."""
        self._sampler.restore(checkpoint.sampler)
        if not checkpoint.replay_service:
            return
        warned = False
        while not self._is_over(None):
            try:
                self._client.restore(checkpoint.replay_service)
            except UnreachableError as error:
                if not warned:
                    _log.warning("waiting_for_replay_service", why=error.why)
                warned = True
                self._say("waiting for the replay service")
                time.sleep(_RESTORE_PAUSE_S)
            else:
                return

    def _is_over(self, until_learner_step: int | None) -> bool:
        if until_learner_step is not None and self._step.learner_steps >= until_learner_step:
            return True
        return self._reporter.control_state in ("draining", "stopped")

    def _ingest(self, *, wait_s: float = 0.0) -> None:
        """Moves what was read of the log into the frame store."""
        assert self._feed is not None
        if self._feed.ingest(wait_s=wait_s):
            self._follow_learning_rate()

    def _follow_learning_rate(self) -> None:
        rate = schedules.learning_rate(self._config.learner.learning_rate, episodes=self._episodes)
        if rate != self._learning_rate:
            self._learning_rate = rate
            self._step.set_learning_rate(rate)

    def _window(self) -> Window:
        store = self._store
        return Window(
            low=store.low,
            high=store.high,
            needed_from=store.read_from if self._needed_from is None else self._needed_from,
            learner_steps=self._step.learner_steps,
        )

    def _wait(self, why: str) -> None:
        """Lets the log move on where no batch may be had."""
        self._ingest(wait_s=_IDLE_S)
        self._say(why)

    def _train(self, sampled: SampledBatch) -> None:
        """Takes one learner step and sends its priorities on their way."""
        versions = self._store.versions(sampled.ids)
        before = self._step.learner_steps
        result = self._step.step(self._store.gather(sampled.ids, sampled.weights))
        self._transfer.push(sampled.ids, result.priorities)
        for ids, priorities in self._transfer.ready():
            self._sampler.finish(ids, priorities)
        self._measurements.add(result, learner_steps=before, versions=versions)

    def _report(self) -> None:
        """Publishes weights and a row of metrics when their learner step has come."""
        steps = self._step.learner_steps
        if steps % self._config.learner.weights_period_learner_steps == 0:
            self._publish()
        if steps % self._config.learner.metrics_period_learner_steps == 0:
            row = self._measurements.row(
                self.progress,
                learning_rate=self._learning_rate,
                replay_size=self._store.size,
                limiter=self._sampler.limiter,
            )
            self._reporter.add_row(row)
        self._say("learning")

    def _publish(self) -> None:
        self._broadcaster.publish(self._step.online, param_version=self._step.learner_steps)

    def _say(self, doing: str) -> None:
        """Updates what the heartbeats carry, a few times a second."""
        now = time.monotonic()
        if doing == "learning" and now - self._said_at < _SAY_S:
            return
        self._said_at = now
        progress = self.progress
        self._reporter.say(
            {
                "role": "learner",
                "pid": os.getpid(),
                "doing": doing,
                "device": str(self._device),
                "learner_steps": progress.learner_steps,
                "env_steps": progress.env_steps,
                "episodes": progress.episodes,
                "updates_per_s": self._measurements.updates_per_s,
                "replay_size": self._store.size,
                "param_version": self._broadcaster.published_version,
                "checkpoint_step": self._saved_step,
                "dropped_batches": self._sampler.dropped_batches,
            }
        )

    def _checkpoint_is_due(self) -> bool:
        config = self._config.checkpoint
        return (
            self._episodes - self._saved_episodes >= config.every_episodes
            and time.monotonic() - self._saved_at >= config.min_period_s
        )

    def _save(self) -> None:
        """Writes a checkpoint; batches under way are received first, so that nothing is in flight."""
        for ids, priorities in self._transfer.flush():
            self._sampler.finish(ids, priorities)
        self._sampler.drain()
        checkpoint = Checkpoint(
            progress=self.progress,
            read_from=self._store.read_from,
            low=self._store.low,
            learner=capture(self._step),
            replay_service=self._service_state(),
            sampler=self._sampler.state(),
            spec=self._spec,
            config=self._config,
            terms=self._contract.terms(),
        )
        folder = self._checkpoints.save(checkpoint)
        self._needed_from = self._checkpoints.needed_from()
        self._saved_episodes = self._episodes
        self._saved_at = time.monotonic()
        self._saved_step = self._step.learner_steps
        _log.info("checkpoint_written", folder=str(folder), episodes=self._episodes)

    def _service_state(self) -> bytes:
        """Returns the replay service's state; empty where it is away, which costs the priorities."""
        try:
            return self._client.state()
        except UnreachableError as error:
            _log.warning("checkpoint_without_priorities", why=error.why)
            return b""
