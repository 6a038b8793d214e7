"""Cuts episodes into the segments that go to the log.

``common.segment`` says what a segment holds. A full segment is handed out when the step after it
arrives, so that the last segment of an episode is never empty and every episode, a broken one too, has
exactly one summary.
"""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from actors.game_contract import Observation, end_reason
from common.game_spec import GameSpec
from common.segment import EpisodeEnd, Segment, SegmentMeta, max_steps


class SegmentBuilder:
    """Turns env steps into segments.

    Args:
        actor: name of the actor.
        spec: shapes of the game.
        n_step: n of the n-step return; n - 1 steps at the end of a segment come again in the next.
        contract: contract fingerprint, hex.
    """

    def __init__(self, *, actor: str, spec: GameSpec, n_step: int, contract: str) -> None:
        assert n_step <= max_steps(spec.history), "a segment must hold at least one transition"
        self._actor = actor
        self._spec = spec
        self._n_step = n_step
        self._contract = contract
        self._capacity = max_steps(spec.history)
        self._episode = -1
        self._param_version = -1
        self._epsilon = 1.0
        self._frames: list[npt.NDArray[np.uint8]] = []
        self._features: list[npt.NDArray[np.float32]] = []
        self._actions: list[int] = []
        self._rewards: list[float] = []
        self._action_counts: list[int] = []
        self._first_step = 0
        self._return = 0.0
        self._progress_m = 0.0

    @property
    def episode(self) -> int:
        """Number of the episode in this start of the actor, from 0; -1 before the first."""
        return self._episode

    @property
    def episode_steps(self) -> int:
        """Env steps of the episode so far."""
        return self._first_step + len(self._actions)

    @property
    def episode_return(self) -> float:
        """Undiscounted sum of the episode's rewards so far."""
        return self._return

    def driven_by(self, *, param_version: int, epsilon: float) -> None:
        """Names the weights and the exploration rate of the segments from here on.

        Where weights change inside an episode, a segment carries the newest that drove in it.
        """
        self._param_version = param_version
        self._epsilon = epsilon

    def start(self, observation: Observation) -> None:
        """Begins an episode with the observation of the reset."""
        self._clear()
        self._episode += 1
        self._frames = list(np.array(observation["image"]))
        self._features = [np.array(observation["features"])]

    def push(
        self,
        action: int,
        reward: float,
        next_observation: Observation,
        *,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> list[Segment]:
        """Adds one env step and returns the segments that are now complete, mostly none.

        Args:
            action: what was done on the observation before.
            reward: what it paid.
            next_observation: what came of it.
            terminated: the task is over.
            truncated: the episode was cut.
            info: the game's ``finished``, ``lap_time_ms``, ``progress_m`` and ``end_reason``, if any.
        """
        assert self._frames, "start() comes first"
        segments = []
        if len(self._actions) == self._capacity:
            segments.append(self._cut_full())
        self._actions.append(action)
        self._rewards.append(reward)
        self._frames.append(np.array(next_observation["image"][-1]))
        self._features.append(np.array(next_observation["features"]))
        self._return += reward
        self._action_counts[action] += 1
        self._progress_m = max(self._progress_m, float(info.get("progress_m", 0.0)))
        if terminated or truncated:
            end = self._end(
                reason=end_reason(info, terminated=terminated),
                finish_ms=float(info["lap_time_ms"]) if info.get("finished") else None,
            )
            segments.append(self._last(end, terminated=terminated, truncated=truncated))
        return segments

    def close(self, reason: str) -> Segment | None:
        """Cuts the running episode short, as truncated; None where it has no step yet."""
        if not self._actions:
            self._clear()
            return None
        return self._last(
            self._end(reason=reason, finish_ms=None), terminated=False, truncated=True
        )

    def _clear(self) -> None:
        self._frames, self._features, self._actions, self._rewards = [], [], [], []
        self._action_counts = [0] * self._spec.n_actions
        self._first_step = 0
        self._return = 0.0
        self._progress_m = 0.0

    def _end(self, *, reason: str, finish_ms: float | None) -> EpisodeEnd:
        return EpisodeEnd(
            episode_return=self._return,
            steps=self.episode_steps,
            reason=reason,
            finish_ms=finish_ms,
            progress_m=self._progress_m,
            action_counts=tuple(self._action_counts),
            ended_at=time.time(),
        )

    def _last(self, end: EpisodeEnd, *, terminated: bool, truncated: bool) -> Segment:
        """Hands out what is left of the episode and forgets it."""
        segment = self._segment(end, terminated=terminated, truncated=truncated)
        self._clear()
        return segment

    def _cut_full(self) -> Segment:
        """Hands out a full segment and keeps what the next one overlaps: n - 1 steps."""
        segment = self._segment(None, terminated=False, truncated=False)
        done = segment.meta.transitions
        self._first_step += done
        del self._frames[:done], self._features[:done], self._actions[:done], self._rewards[:done]
        return segment

    def _segment(self, end: EpisodeEnd | None, *, terminated: bool, truncated: bool) -> Segment:
        meta = SegmentMeta(
            actor=self._actor,
            epoch=0,  # the log writer numbers what it appends
            seq=0,
            episode=self._episode,
            first_step=self._first_step,
            param_version=self._param_version,
            epsilon=self._epsilon,
            n_step=self._n_step,
            contract=self._contract,
            terminated=terminated,
            truncated=truncated,
            actions=np.array(self._actions, dtype=np.uint8),
            rewards=np.array(self._rewards, dtype=np.float32),
            features=np.array(self._features, dtype=np.float32),
            priorities=None,
            end=end,
        )
        return Segment(meta=meta, frames=np.stack(self._frames).astype(np.uint8, copy=False))
