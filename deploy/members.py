"""The members of a run: what each is told, and the machine that it works on."""

from typing import Any

import ray

from actors.ray_actor import DrivingActor, EvaluatorActor
from common.contract import Contract
from deploy.fleet import ONE_CPU, Fleet
from deploy.placement import Seat, member_needs, own_address, seat_needs
from deploy.run_folder import RunFolder
from deploy.run_redis import RunRedis
from learner.ray_actor import LearnerActor
from replay_server.ray_actor import ReplayServiceActor

LEARNER, REPLAY, EVALUATOR = "learner", "replay", "evaluator"


class Members:
    """Starts the members of one run.

    Args:
        fleet: takes them.
        redis: tells each its address.
        folder: the run.
        contract: what they agree on, with the resolved configuration.
        in_cluster: whether Ray has other machines, too.
    """

    def __init__(
        self,
        fleet: Fleet,
        redis: RunRedis,
        *,
        folder: RunFolder,
        contract: Contract,
        in_cluster: bool,
    ) -> None:
        self._fleet = fleet
        self._redis = redis
        self._folder = folder
        self._contract = contract
        self._in_cluster = in_cluster

    def start(self, *, resume: bool) -> None:
        """Starts all but the actors on seats of a cluster.

        Args:
            resume: whether the learner has to find a checkpoint.
        """
        config, run = self._contract.config, self._folder.name
        self._fleet.add(
            REPLAY,
            ray.remote(ReplayServiceActor),
            redis_url=self._redis.url("replay"),
            run=run,
            needs=member_needs(REPLAY, in_cluster=self._in_cluster),
        )
        self._fleet.add(
            LEARNER,
            LearnerActor,
            self._contract,
            redis_url=self._redis.url("learner"),
            run=run,
            run_dir=self._folder.path,
            resume=resume,
            needs=member_needs(LEARNER, gpus=self._gpus(), in_cluster=self._in_cluster),
        )
        for index in range(0 if self._in_cluster else config.actors.count):
            self.add_actor(f"actor-{index}", None)
        if config.evaluation.every_s > 0 and config.game.runs_by_itself:
            self._fleet.add(
                EVALUATOR,
                EvaluatorActor,
                self._contract,
                redis_url=self._redis.url("evaluator"),
                run=run,
                run_dir=self._folder.path,
                needs=member_needs(EVALUATOR, in_cluster=self._in_cluster),
            )

    def add_actor(self, name: str, seat: Seat | None) -> None:
        """Starts an actor.

        Args:
            name: ``actor-<index>``.
            seat: of the cluster, or None for this machine.
        """
        here = seat is None or seat.address == own_address()
        self._fleet.add(
            name,
            DrivingActor,
            self._contract,
            redis_url=self._redis.actor_url(name),
            run=self._folder.name,
            run_dir=self._folder.path if here else None,
            index=int(name.rpartition("-")[2]),
            needs=ONE_CPU if seat is None else seat_needs(seat),
            expendable=not here,
        )

    def _gpus(self) -> int:
        """A GPU for the learner where Ray sees one and the configuration does not forbid it."""
        seen: dict[str, Any] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        wanted = self._contract.config.learner.device != "cpu"
        return 1 if seen.get("GPU", 0.0) >= 1 and wanted else 0
