"""Finished episodes of the whole fleet, numbered in the order of the log."""

import json
from dataclasses import dataclass

import redis

from common.keys import Keys
from common.segment import SegmentMeta
from replay_server.connection import Fields, call
from replay_server.stream_end import last_generated_id

KEPT_EPISODES = 50_000
"""About so many rows stay in Redis; a run folder keeps them all."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One finished episode.

    Attributes:
        n: number in the fleet, from 1, so that the newest tells how many there were.
        actor: who drove it.
        epoch: which start of the actor.
        episode: the actor's own number in that epoch, from 0.
        episode_return: undiscounted sum of rewards.
        steps: env steps.
        reason: the game's word for its end.
        finish_ms: lap time in milliseconds, or None without a finish.
        progress_m: metres along the reward line.
        param_version: learner step of the weights that drove.
        epsilon: exploration rate.
        env_steps: env steps of the fleet when its last segment entered the log.
        ended_at: Unix time in seconds on the actor's clock.
        action_counts: how often each action was taken.
    """

    n: int
    actor: str
    epoch: int
    episode: int
    episode_return: float
    steps: int
    reason: str
    finish_ms: float | None
    progress_m: float
    param_version: int
    epsilon: float
    env_steps: int
    ended_at: float
    action_counts: tuple[int, ...]

    def fields(self) -> Fields:
        """Returns the fields of its entry in the episodes stream."""
        return {
            "n": str(self.n),
            "actor": self.actor,
            "epoch": str(self.epoch),
            "episode": str(self.episode),
            "return": repr(self.episode_return),
            "steps": str(self.steps),
            "reason": self.reason,
            "finish_ms": "" if self.finish_ms is None else repr(self.finish_ms),
            "progress_m": repr(self.progress_m),
            "param_version": str(self.param_version),
            "epsilon": repr(self.epsilon),
            "env_steps": str(self.env_steps),
            "ended_at": repr(self.ended_at),
            "action_counts": json.dumps(self.action_counts),
        }


def make_episode(meta: SegmentMeta, *, n: int, env_steps: int) -> Episode:
    """Returns the row of the episode that ends with a segment."""
    end = meta.end
    assert end is not None, "the segment ends no episode"
    return Episode(
        n=n,
        actor=meta.actor,
        epoch=meta.epoch,
        episode=meta.episode,
        episode_return=end.episode_return,
        steps=end.steps,
        reason=end.reason,
        finish_ms=end.finish_ms,
        progress_m=end.progress_m,
        param_version=meta.param_version,
        epsilon=meta.epsilon,
        env_steps=env_steps,
        ended_at=end.ended_at,
        action_counts=end.action_counts,
    )


def read_episodes(connection: redis.Redis, keys: Keys, *, after: int, count: int) -> list[Episode]:
    """Returns up to ``count`` episodes numbered above ``after``, oldest first."""
    rows: list[tuple[bytes, dict[bytes, bytes]]] = call(
        connection, "XRANGE", keys.episodes, f"{after + 1}-0", "+", "COUNT", count
    )
    return [_parse(fields) for _, fields in rows]


def last_episode_number(connection: redis.Redis, keys: Keys) -> int:
    """Returns the number of the newest episode, 0 before the first.

    Episodes have their number for an id, so an actor needs no right to read them.
    """
    number, _ = last_generated_id(connection, keys.episodes)
    return number


def _parse(raw: dict[bytes, bytes]) -> Episode:
    fields = {name.decode(): value.decode() for name, value in raw.items()}
    return Episode(
        n=int(fields["n"]),
        actor=fields["actor"],
        epoch=int(fields["epoch"]),
        episode=int(fields["episode"]),
        episode_return=float(fields["return"]),
        steps=int(fields["steps"]),
        reason=fields["reason"],
        finish_ms=float(fields["finish_ms"]) if fields["finish_ms"] else None,
        progress_m=float(fields["progress_m"]),
        param_version=int(fields["param_version"]),
        epsilon=float(fields["epsilon"]),
        env_steps=int(fields["env_steps"]),
        ended_at=float(fields["ended_at"]),
        action_counts=tuple(json.loads(fields["action_counts"])),
    )
