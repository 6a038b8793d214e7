"""An actor as a whole: game, policy, log writer, followers and heartbeat, wired to the driver."""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import structlog

from actors.driver import Driver
from actors.fleet_follower import FleetFollower
from actors.game_contract import Game
from actors.game_link import GameLink
from actors.games import game_spec, make_game
from actors.heartbeat import Heartbeat, thumbnail
from actors.policy import Policy
from actors.segment_builder import SegmentBuilder
from actors.weights_follower import WeightsFollower
from common.config import Config
from common.contract import Contract, make_contract, require_same
from common.keys import Keys
from common.network import network_for
from replay_server.connection import connect
from replay_server.hearts import Heart
from replay_server.log_writer import LogWriter, WriterCounters

_log = structlog.get_logger()
_FLUSH_S = 10.0
_FIRST_POLL_S = 3.0
_STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class ActorPlace:
    """Who an actor is in its fleet.

    Attributes:
        name: unique in the run; names its streams.
        index: from 0; its rung on the epsilon ladder until the launcher gives it another.
        count: actors of the fleet as far as it is known at the start.
    """

    name: str
    index: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class DriveReport:
    """What an actor did until it ended.

    Attributes:
        env_steps: env steps of this start.
        episodes: episodes handed to the log.
        faults: how often the game failed.
        fault_causes: the same by cause.
        env_restarts: how often the game, or what it mends by itself, was started anew.
        flushed: whether everything reached the log; else the rest waits in the spool.
        writer: what became of the segments.
    """

    env_steps: int
    episodes: int
    faults: int
    fault_causes: dict[str, int]
    env_restarts: int
    flushed: bool
    writer: WriterCounters


def run_actor(
    config: Config,
    contract: Contract,
    *,
    redis_url: str,
    keys: Keys,
    place: ActorPlace,
    spool_dir: Path | None,
    stop: threading.Event | None = None,
    observe: Callable[[Heart], None] | None = None,
) -> DriveReport:
    """Drives until the run drains or the caller stops it, then flushes.

    Args:
        config: the run's configuration.
        contract: the run's contract, as the cluster published it.
        redis_url: where the log is.
        keys: the run.
        place: who this actor is.
        spool_dir: folder for what waits while Redis is away; None keeps it in memory.
        stop: ends the actor when set.
        observe: called with what each heartbeat says, also while Redis is away.

    Raises:
        MismatchError: this installation or game differs from the run's contract, or another process has
            taken over the name, or Redis does not let this actor in any more.
        ConfigError: the game breaks its contract.
        MachineError: the game failed too often.
    """
    stop = stop or threading.Event()
    with ExitStack() as stack:
        shared = connect(redis_url, name=place.name, shared=True)
        stack.callback(shared.close)
        fleet = FleetFollower(
            redis_url,
            keys,
            name=f"{place.name}-fleet",
            actor=place.name,
            index=place.index,
            count=place.count,
            count_episodes=config.exploration.counted_in == "episodes",
            shared=shared,
        )
        stack.callback(fleet.close)
        fleet.start()
        fleet.wait_for_first(_FIRST_POLL_S)
        seeds = np.random.SeedSequence([config.seed, place.index, fleet.env_steps])
        link = GameLink(_game_maker(config, seeds), stop=stop)
        stack.callback(link.close)
        env = link.open()
        spec = game_spec(env, config.game)
        require_same(ours=make_contract(config, spec), theirs=contract)
        weights = WeightsFollower(
            redis_url,
            keys,
            name=f"{place.name}-weights",
            contract=contract.fingerprint,
            on_demand=True,
            shared=shared,
        )
        stack.callback(weights.close)
        weights.start()
        writer = LogWriter(
            redis_url,
            keys,
            place.name,
            spool_dir=spool_dir,
            spool_max_bytes=config.actors.spool_max_bytes,
            contract=contract.fingerprint,
            checks_contract=True,
        )
        stack.callback(writer.close)
        rng = np.random.default_rng(seeds.spawn(1)[0])
        driver = Driver(
            link=link,
            policy=Policy(network_for(spec, config), spec, config.exploration, rng),
            builder=SegmentBuilder(
                actor=place.name,
                spec=spec,
                n_step=config.learner.n_step,
                contract=contract.fingerprint,
            ),
            sink=writer,
            weights=weights,
            fleet=fleet,
            actors=config.actors,
            exploration=config.exploration,
            real_time=bool(env.metadata.get("real_time", False)),
            step_s=float(env.metadata.get("step_s", _STEP_S)),
            stop=stop,
        )
        vitals = _Vitals(
            place, driver=driver, link=link, weights=weights, writer=writer, observe=observe
        )
        heart = Heartbeat(
            redis_url,
            keys,
            name=place.name,
            facts=vitals.facts,
            period_s=config.actors.heartbeat_s,
            shared=shared,
        )
        stack.callback(heart.close)
        heart.start()
        _log.info("actor_drives", actor=place.name, game=config.game.name, track=config.game.track)
        driver.run(watch=partial(_raise_failures, heart, writer))
        flushed = writer.flush(_FLUSH_S)
        report = DriveReport(
            env_steps=driver.env_steps,
            episodes=driver.episodes,
            faults=link.faults,
            fault_causes=dict(link.fault_causes),
            env_restarts=link.env_restarts,
            flushed=flushed,
            writer=writer.counters(),
        )
        heart.leave()
    _log.info("actor_ended", actor=place.name, env_steps=report.env_steps, flushed=flushed)
    return report


def _raise_failures(heart: Heartbeat, writer: LogWriter) -> None:
    heart.raise_failure()
    writer.raise_failure()


def _game_maker(config: Config, seeds: np.random.SeedSequence) -> Callable[[], Game]:
    """Returns what builds the actor's game, each time with another seed."""

    def make() -> Game:
        (seed,) = seeds.spawn(1)[0].generate_state(1)
        return make_game(config.game, training=True, seed=int(seed))

    return make


class _Vitals:
    """What an actor's heartbeat says; read by the heartbeat's thread while the driver drives."""

    def __init__(
        self,
        place: ActorPlace,
        *,
        driver: Driver,
        link: GameLink,
        weights: WeightsFollower,
        writer: LogWriter,
        observe: Callable[[Heart], None] | None,
    ) -> None:
        self._observe = observe
        self._place = place
        self._driver = driver
        self._link = link
        self._weights = weights
        self._writer = writer
        self._host = socket.gethostname()
        self._last = (time.monotonic(), 0)

    def facts(self) -> Heart:
        """Returns the fields of one heartbeat, and shows them to whoever observes."""
        heart = self._facts()
        if self._observe is not None:
            self._observe(heart)
        return heart

    def _facts(self) -> Heart:
        driver = self._driver
        now_s, env_steps = time.monotonic(), driver.env_steps
        (last_s, last_env_steps), self._last = self._last, (now_s, env_steps)
        observation = driver.observation
        counters = self._weights.counters
        writer = self._writer.counters()
        return {
            "role": "actor",
            "actor": self._place.name,
            "host": self._host,
            "pid": os.getpid(),
            "time": time.time(),
            "epoch": self._writer.epoch,
            "seq": writer.appended_segments,
            "fenced": self._writer.fenced,
            "env_steps": env_steps,
            "fps": (env_steps - last_env_steps) / max(now_s - last_s, 1e-3),
            "late_steps": driver.late_steps,
            "waiting": driver.waiting,
            "episode": driver.episodes,
            "last_return": driver.last_return,
            "last_finish_ms": driver.last_finish_ms,
            "epsilon": driver.epsilon,
            "param_version": driver.param_version,
            "staleness": self._weights.staleness(driver.param_version),
            "weights_corrupt": counters.corrupt,
            "weights_refused": counters.refused,
            "faults": self._link.faults,
            "fault_causes": dict(self._link.fault_causes),
            "env_restarts": self._link.env_restarts,
            "game_state": self._link.state,
            "frame": thumbnail(observation["image"][-1]) if observation is not None else b"",
            **asdict(writer),
        }
