"""Runs a training: Redis, contract, Ray and its actors, then follows them to an orderly end."""

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from actors.games import game_spec, make_game
from actors.trackmania.line_files import read_line_files
from common.config import Config
from common.contract import Contract, make_contract
from common.errors import MachineError
from common.keys import Keys
from deploy.console import RunConsole
from deploy.end_conditions import EndConditions
from deploy.fleet import Fleet
from deploy.game_fleet import SEATS_FILE, GameFleet
from deploy.health.health_watch import HealthWatch
from deploy.interrupts import Interrupts
from deploy.joined_ray import joined_ray, require_own_node
from deploy.members import EVALUATOR, LEARNER, REPLAY, Members
from deploy.ray_cluster import private_ray
from deploy.recorder import Recorder
from deploy.redis_listen import Listen
from deploy.roster import Roster
from deploy.run_files import read_progress
from deploy.run_folder import RunFolder
from deploy.run_name import name_taken
from deploy.run_redis import RunRedis, foreign_run_redis, private_run_redis
from deploy.user_sync import UserSync
from deploy.watch import INTERRUPTED, Watch
from learner.checkpoint_folder import CheckpointFolder
from replay_server.announcement import put_reward_lines, withdraw_run
from replay_server.connection import OUTAGES, check_server, connect
from replay_server.contract_store import put_contract
from replay_server.control import Control, State
from replay_server.retention import trim_at_rest
from replay_server.snapshot import seed_snapshot

_log = structlog.get_logger()

_RETRY_S = 0.25
_DRAIN_LIMIT_S = 120.0
_STOP_LIMIT_S = 30.0


@dataclass(slots=True)
class Outcome:
    """How a start of a run ended, filled while it goes on.

    Attributes:
        reason: why, in words.
        began: whether the run got its name on Redis, without which it leaves nothing.
        ended_well: whether the fleet was ended in order.
        learner_steps: where the learner stopped; 0 where it could not say.
        replay: last figures of the replay service.
    """

    reason: str = "failed"
    began: bool = True
    ended_well: bool = False
    learner_steps: int = 0
    replay: dict[str, Any] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether a person or the system asked for the end."""
        return self.reason == INTERRUPTED

    @property
    def complete(self) -> bool:
        """Whether the run came to an end of its own."""
        return self.ended_well and not self.interrupted


def open_contract(config: Config) -> Contract:
    """Opens the game once and returns the contract of a run with it.

    Raises:
        ConfigError: the game's settings are impossible, found before anything starts.
    """
    env = make_game(config.game, training=True, seed=config.seed)
    try:
        return make_contract(config, game_spec(env, config.game))
    finally:
        env.close()


def _check(redis: RunRedis, sync: UserSync, games: GameFleet | None) -> None:
    redis.raise_failure()
    sync.raise_failure()
    if games is not None:
        require_own_node()
        games.follow()


class Launcher:
    """One start of one run.

    Args:
        folder: the run, locked by the caller.
        contract: what its processes agree on, with the resolved configuration.
        console: tells the person in front of it.
        redis_url: the user's own Redis, or None for a private one.
        resume: whether the run continues.
        listen: where other machines reach the private Redis, or None for loopback alone.
        cluster: address of the Ray cluster to train on, ``auto`` for the one of this machine's node, or
            None for a Ray of the run's own.
    """

    def __init__(
        self,
        *,
        folder: RunFolder,
        contract: Contract,
        console: RunConsole,
        redis_url: str | None,
        resume: bool,
        listen: Listen | None = None,
        cluster: str | None = None,
    ) -> None:
        self._folder = folder
        self._contract = contract
        self._config = contract.config
        self._console = console
        self._redis_url = redis_url
        self._resume = resume
        self._listen = listen
        self._cluster = cluster
        self._keys = Keys(folder.name)
        self._roster = Roster()
        self.progress = read_progress(folder)
        self.progress.first_sample_size = self._config.learner.first_sample_size
        self.outcome = Outcome()

    def run(self, interrupts: Interrupts) -> None:
        """Trains until an end condition, an interrupt or a failure.

        What is known about the end is in ``outcome`` and ``progress`` also when this raises.

        Args:
            interrupts: requests to stop.

        Raises:
            ApexManiaError: something that this run needs failed for good.
        """
        conditions = EndConditions(self._config, self.progress.evaluations)
        self._console.say("Starting Redis, Ray, replay service, learner and actors ...")
        with self._health() as health, self._redis() as redis, self._ray():
            interrupts.take_over()
            url = redis.url("launcher")
            connection = connect(url, name="launcher")
            if self._resume:
                self._make_room(connection, url)
            self._publish(connection)
            if self._resume:
                self._seed_replay(connection)
            control = Control(connection, self._keys)
            control.set("running")
            self._roster.add(*self._own_actors())
            sync = UserSync(url, self._keys, roster=self._roster, own_users=redis.private)
            sync.start()
            fleet = Fleet()
            members = self._members(fleet, redis)
            games = self._game_fleet(fleet, members)
            watch = Watch(
                url=url,
                keys=self._keys,
                fleet=fleet,
                recorder=Recorder(
                    redis.url("reader"), self._keys, self._folder, self.progress, health=health
                ),
                progress=self.progress,
                console=self._console,
                health=health,
                conditions=conditions,
                check=lambda: _check(redis, sync, games),
            )
            try:
                members.start(resume=self._resume)
                self.outcome.reason = watch.follow(interrupts)
                self._end(fleet, watch, control, games)
                self.outcome.ended_well = True
            except BaseException:
                with contextlib.suppress(*OUTAGES):
                    control.set("stopped")
                raise
            finally:
                sync.close()
                with contextlib.suppress(*OUTAGES):
                    withdraw_run(connection, self._keys.run)
                watch.record_rest()

    def _health(self) -> contextlib.closing[HealthWatch]:
        """Opens the checks before anything starts: they read all that was recorded of the run."""
        return contextlib.closing(
            HealthWatch.open(
                self._folder, self._config, progress=self.progress, say=self._console.say
            )
        )

    def _redis(self) -> contextlib.AbstractContextManager[RunRedis]:
        if self._redis_url is not None:
            return foreign_run_redis(self._redis_url, resume=self._resume)
        return private_run_redis(
            self._folder,
            self._config,
            listen=self._listen,
            members_elsewhere=self._cluster is not None,
        )

    def _make_room(self, connection: Any, url: str) -> None:  # noqa: ANN401 - redis belongs to replay_server
        """Trims what a run that stopped on a full Redis left behind; refuses if it is full even so."""
        trim_at_rest(connection, self._keys, capacity=self._config.replay.capacity)
        check_server(connection, url=url)

    def _seed_replay(self, connection: Any) -> None:  # noqa: ANN401 - redis belongs to replay_server
        """Lets counters go on in a Redis that knows nothing of the run, before any actor can write."""
        found = CheckpointFolder(self._folder.path, self._config.checkpoint).newest_good()
        if found is None or not found.checkpoint.replay_service:
            return
        if seed_snapshot(connection, self._keys, found.checkpoint.replay_service):
            _log.warning("replay_log_lost", going_on_from=found.checkpoint.progress.env_steps)

    def _publish(self, connection: Any) -> None:  # noqa: ANN401 - redis belongs to replay_server
        """Publishes the contract; a new run never takes the name of another one on this Redis."""
        if not put_contract(connection, self._keys, self._contract, new_run=not self._resume):
            self.outcome.began = False
            raise name_taken(self._keys.run)
        put_reward_lines(connection, self._keys, read_line_files(self._config.game))

    def _ray(self) -> contextlib.AbstractContextManager[None]:
        if self._cluster is not None:
            return joined_ray(self._cluster, run_folder=self._folder.path, logs=self._folder.logs)
        members = self._config.actors.count + len((LEARNER, REPLAY, EVALUATOR))
        return private_ray(num_cpus=members, run_folder=self._folder.path, logs=self._folder.logs)

    def _own_actors(self) -> list[str]:
        """Names of the actors that are there from the start; those of a cluster come with its machines."""
        count = 0 if self._cluster is not None else self._config.actors.count
        return [f"actor-{index}" for index in range(count)]

    def _members(self, fleet: Fleet, redis: RunRedis) -> Members:
        """Returns what starts the members of this run."""
        return Members(
            fleet,
            redis,
            folder=self._folder,
            contract=self._contract,
            in_cluster=self._cluster is not None,
        )

    def _game_fleet(self, fleet: Fleet, members: Members) -> GameFleet | None:
        """Returns what follows the machines of a cluster, None in a Ray of the run's own."""
        if self._cluster is None:
            return None
        return GameFleet(
            fleet,
            start=members.add_actor,
            roster=self._roster,
            say=self._console.say,
            file=self._folder.path / SEATS_FILE,
        )

    def _end(self, fleet: Fleet, watch: Watch, control: Control, games: GameFleet | None) -> None:
        """Drains the fleet: the learner writes its checkpoint first, then everybody stops.

        Raises:
            MachineError: the learner did not come to its end in time.
        """
        self._console.say(f"Ending ({self.outcome.reason}): the learner writes a checkpoint ...")
        self._set(control, "draining")
        drained = watch.wait_for([LEARNER], limit_s=_DRAIN_LIMIT_S)
        if drained:
            self.outcome.learner_steps = fleet.result(LEARNER).learner_steps
        self.outcome.replay = watch.replay_figures()
        self._set(control, "stopped")
        if games is not None:
            games.give_up_absent()
        watch.wait_for(fleet.names, limit_s=_STOP_LIMIT_S)
        if not drained:
            raise MachineError(
                f"The learner wrote no last checkpoint within {_DRAIN_LIMIT_S:.0f} s.",
                f"the run was ending ({self.outcome.reason}); its disk may be slow or full, or the "
                "learner waits for a Redis that is away",
                f"df -h {self._folder.path}, then: apexmania train --resume {self._folder.path}",
            )

    def _set(self, control: Control, state: State) -> None:
        """Sets the run's switch, also where Redis is just being restarted."""
        deadline = time.monotonic() + _STOP_LIMIT_S
        while True:
            try:
                control.set(state)
            except OUTAGES:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)
            else:
                _log.info("control_set", state=state)
                return
