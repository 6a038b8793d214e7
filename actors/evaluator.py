"""Evaluates the newest weights greedily while training goes on."""

import os
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import structlog

from actors.best_policy import BestPolicy
from actors.evaluation import evaluate
from actors.evaluation_report import EvaluationReport
from actors.fleet_follower import FleetFollower
from actors.game_contract import Game
from actors.game_link import GameLink
from actors.games import game_spec, make_game
from actors.heartbeat import Heartbeat
from actors.policy import Policy
from actors.weights_follower import WeightsFollower
from common.config import Config
from common.contract import Contract, make_contract, require_same
from common.errors import MachineError
from common.keys import Keys
from common.network import network_for
from common.weights import ParamSnapshot
from replay_server.connection import connect, retrying
from replay_server.hearts import Heart
from replay_server.rows import Row, append_row

NAME = "evaluator"
_POLL_S = 0.5
_KEPT_ROWS = 10_000
_log = structlog.get_logger()


class Evaluator:
    """Every ``evaluation.every_s`` drives greedy laps with weights that it has not driven yet.

    Args:
        config: the run's configuration.
        contract: the run's contract.
        redis_url: where the weights are and the results go.
        keys: the run.
        run_dir: folder of the run; the best policy is kept in its ``checkpoints``.
        stop: ends it when set.

    Raises:
        MismatchError: this installation or game differs from the run's contract.
    """

    def __init__(
        self,
        config: Config,
        contract: Contract,
        *,
        redis_url: str,
        keys: Keys,
        run_dir: Path,
        stop: threading.Event | None = None,
    ) -> None:
        self._config = config
        self._redis_url = redis_url
        self._keys = keys
        self._stop = stop or threading.Event()
        env = self._make_env()
        self._spec = game_spec(env, config.game)
        env.close()
        require_same(ours=make_contract(config, self._spec), theirs=contract)
        self._policy = Policy(
            network_for(self._spec, config),
            self._spec,
            config.exploration,
            np.random.default_rng(config.seed),
        )
        self._best = BestPolicy(run_dir / "checkpoints")
        self._weights = WeightsFollower(
            redis_url, keys, name=f"{NAME}-weights", contract=contract.fingerprint
        )
        self._fleet = FleetFollower(redis_url, keys, name=f"{NAME}-fleet", period_s=_POLL_S)
        self._evaluations = 0

    def run(self) -> None:
        """Evaluates until the run drains or the caller stops it."""
        with ExitStack() as stack:
            heart = Heartbeat(
                self._redis_url,
                self._keys,
                name=NAME,
                facts=self._facts,
                period_s=self._config.actors.heartbeat_s,
            )
            for part in (self._weights, self._fleet, heart):
                stack.callback(part.close)
                part.start()
            ender = threading.Thread(target=self._end_with_the_run, name=f"{NAME}-end", daemon=True)
            ender.start()
            stack.callback(ender.join)
            stack.callback(self._stop.set)
            next_s = time.monotonic() + self._config.evaluation.every_s
            while not self._stop.wait(_POLL_S):
                self._weights.raise_failure()
                heart.raise_failure()
                newest = self._weights.newest
                fresh = newest is not None and newest.param_version != self._policy.param_version
                if newest is not None and fresh and time.monotonic() >= next_s:
                    next_s = time.monotonic() + self._config.evaluation.every_s
                    self.evaluate_once(newest)

    def evaluate_once(self, snapshot: ParamSnapshot) -> EvaluationReport | None:
        """Drives the laps with a snapshot, records them, and returns the report; None where stopped."""
        began_s = time.monotonic()
        env_steps = self._fleet.env_steps
        self._policy.load(snapshot)
        evaluation = self._config.evaluation
        link = GameLink(self._make_env, stop=self._stop)
        try:
            report = evaluate(
                self._policy, link, episodes=evaluation.episodes, seed=self._config.seed
            )
        except MachineError as error:
            _log.warning("evaluation_failed", error=str(error), faults=dict(link.fault_causes))
            return None
        finally:
            link.close()
        if report is None:
            return None
        self._evaluations += 1
        best = self._config.checkpoint.keep_best and self._best.offer(
            report, snapshot, spec=self._spec, config=self._config, env_steps=env_steps
        )
        row: Row = {
            **report.to_dict(),
            "env_steps": env_steps,
            "is_best": best,
            "wall_s": time.monotonic() - began_s,
            "time": time.time(),
        }
        self._record(row)
        _log.info(
            "evaluated",
            param_version=report.param_version,
            finish_rate=report.finish_rate,
            lap_best_ms=row["lap_best_ms"],
            return_mean=round(report.mean_return, 2),
            is_best=best,
        )
        return report

    def _record(self, row: Row) -> None:
        """Appends the row, however long Redis is away."""
        connection = connect(self._redis_url, name=NAME)
        try:
            retrying(
                lambda: append_row(connection, self._keys.evaluations, row, _KEPT_ROWS),
                stop=self._stop,
            )
        finally:
            connection.close()

    def _make_env(self) -> Game:
        return make_game(
            self._config.game,
            training=False,
            seed=None,
            evaluation_jitter=self._config.evaluation.start_jitter,
        )

    def _end_with_the_run(self) -> None:
        """Sets the stop flag when the run drains, so that an evaluation ends between its laps."""
        while not self._stop.wait(_POLL_S):
            if self._fleet.ends:
                self._stop.set()

    def _facts(self) -> Heart:
        return {
            "role": NAME,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.time(),
            "evaluations": self._evaluations,
            "param_version": self._policy.param_version,
            "staleness": self._weights.staleness(self._policy.param_version),
        }
