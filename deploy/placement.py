"""On which machine each member of a run works: all on this one, or where a cluster has what it needs."""

from dataclasses import dataclass
from typing import Any

import ray

from deploy.fleet import Needs
from deploy.joined_ray import GAME, LEARNER

_OF_A_NODE = "node:"  # Ray gives every node one resource of this prefix and its address
_A_BIT = 0.001
_SHARE_OF_THE_HEAD = {"learner": 0.5, "replay": 0.25, "evaluator": 0.25}


@dataclass(frozen=True, slots=True)
class Seat:
    """Room for one actor.

    Attributes:
        address: of the machine.
        number: from 0, among those of the machine.
    """

    address: str
    number: int

    def __str__(self) -> str:
        """Returns how a file names it."""
        return f"{self.address}#{self.number}"


def member_needs(name: str, *, gpus: int = 0, in_cluster: bool) -> Needs:
    """Returns what learner, replay service or evaluator take.

    In a cluster the three fill the one learner resource of the head: a second run waits for it.

    Args:
        name: which of them.
        gpus: GPUs it works on.
        in_cluster: whether other machines could be chosen.
    """
    if not in_cluster:
        return Needs(cpus=1, gpus=gpus)
    return Needs(gpus=gpus, resources={LEARNER: _SHARE_OF_THE_HEAD[name]})


def seat_needs(seat: Seat) -> Needs:
    """Returns what the actor of a seat takes: one game, on that machine and on no other.

    So an actor whose machine was lost finds its spool when the machine is back.
    """
    return Needs(resources={GAME: 1, f"{_OF_A_NODE}{seat.address}": _A_BIT})


def seats() -> dict[Seat, str]:
    """Returns every seat of the machines that Ray counts alive, with the machine's Ray node."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {
        Seat(node["NodeManagerAddress"], number): node["NodeID"]
        for node in nodes
        if node["Alive"]
        for number in range(int(node["Resources"].get(GAME, 0)))
    }


def own_address() -> str:
    """Returns the address of the machine that this process is on, as the cluster knows it."""
    here = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return next(str(node["NodeManagerAddress"]) for node in nodes if node["NodeID"] == here)
