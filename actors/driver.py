"""Drives episode after episode and hands the segments to the log."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from actors.fleet_follower import FleetFollower
from actors.game_contract import GameFaultError, Observation
from actors.game_link import GameLink
from actors.policy import Policy
from actors.segment_builder import SegmentBuilder
from actors.weights_follower import WeightsFollower
from common.config import ActorsConfig, ExplorationConfig
from common.errors import MismatchError
from common.schedules import actor_epsilon, epsilon
from common.segment import Segment

_log = structlog.get_logger()
_WAIT_S = 0.1
_FRESH_S = 0.1
_LATE = 1.5
FAULT, DRAINED = "fault", "drained"


def _watch_nothing() -> None:
    """Stands in before ``run``."""


class SegmentSink(Protocol):
    """Where segments go: the log writer."""

    @property
    def fenced(self) -> bool:
        """Whether a newer process of the same name has taken over."""

    def append(self, segment: Segment) -> None:
        """Takes a segment; never blocks for long and never raises for an outage."""


class Driver:
    """One actor's loop, without the processes and connections around it.

    Args:
        link: the game.
        policy: chooses the actions.
        builder: cuts segments.
        sink: receives them.
        weights: newest weights.
        fleet: the run's switch, counters and limiter, and this actor's place.
        actors: refreshing and waiting.
        exploration: the schedule of epsilon.
        real_time: the game does not wait, so the driver never lets it.
        step_s: seconds of one env step of a real-time game; slower ones are counted as late.
        stop: ends the loop.
    """

    def __init__(
        self,
        *,
        link: GameLink,
        policy: Policy,
        builder: SegmentBuilder,
        sink: SegmentSink,
        weights: WeightsFollower,
        fleet: FleetFollower,
        actors: ActorsConfig,
        exploration: ExplorationConfig,
        real_time: bool,
        step_s: float,
        stop: threading.Event,
    ) -> None:
        self._link = link
        self._policy = policy
        self._builder = builder
        self._sink = sink
        self._weights = weights
        self._fleet = fleet
        self._refresh_steps = actors.refresh_steps if actors.refresh == "steps" else 0
        self._real_time = real_time
        self._waits = actors.wait_for_learner and not real_time
        self._late_after_s = _LATE * step_s if real_time else None
        self._exploration = exploration
        self._stop = stop
        self._watch: Callable[[], None] = _watch_nothing
        self.epsilon = 1.0
        self.env_steps = 0
        self.episodes = 0
        self.late_steps = 0
        self.waiting = False
        self.last_return: float | None = None
        self.last_finish_ms: float | None = None
        self.observation: Observation | None = None

    @property
    def param_version(self) -> int:
        """Learner step of the weights that drive; -1 before the first."""
        return self._policy.param_version

    def run(self, *, watch: Callable[[], None]) -> None:
        """Drives until the run or the caller ends it.

        Args:
            watch: raises what ended another thread of this actor; called at each env step.
        """
        self._watch = watch
        while not self._ends():
            self._episode()

    def _episode(self) -> None:
        """Drives one episode, to its end, to a fault of the game or to the end of the run."""
        self._weights.want()
        started = self._link.reset()
        if started is None:
            return
        observation, _ = started
        if not self._real_time:  # whose reset takes longer than a fetch
            self._weights.wait_for_wanted(_FRESH_S)
        self._builder.start(observation)
        self.observation = observation
        self._refresh()
        steps = 0
        while not self._ends():
            if self._must_wait():
                continue
            if self._refresh_steps and steps and steps % self._refresh_steps == 0:
                self._refresh()
                self._weights.want()
            began_s = time.monotonic()
            action = self._policy.act(observation, self.epsilon)
            try:
                observation, reward, terminated, truncated, info = self._link.step(action)
            except GameFaultError as fault:
                self._close(f"{FAULT}:{fault.cause}")
                return
            self._note_pace(time.monotonic() - began_s)
            steps += 1
            self.env_steps += 1
            self.observation = observation
            for segment in self._builder.push(
                action,
                reward,
                observation,
                terminated=terminated,
                truncated=truncated,
                info=info,
            ):
                self._append(segment)
            if terminated or truncated:
                return
        self._close(DRAINED)

    def _ends(self) -> bool:
        """Returns whether the loop is over; raises what ended a background thread or this actor."""
        self._weights.raise_failure()
        self._fleet.raise_failure()
        self._watch()
        if self._sink.fenced:
            raise MismatchError(
                "Another process has taken over this actor's name.",
                "It started later and writes to the same streams, so this one must stop.",
                "stop this process; apexmania status shows which actors are alive",
            )
        return self._stop.is_set() or self._fleet.ends

    def _must_wait(self) -> bool:
        """Waits a little where the learner is behind, and returns whether to look again."""
        self.waiting = self._waits and not self._fleet.wait_to_insert(_WAIT_S)
        return self.waiting

    def _refresh(self) -> None:
        """Installs the newest weights and takes epsilon from the fleet's counters."""
        newest = self._weights.newest
        if newest is not None and newest.param_version != self._policy.param_version:
            self._policy.load(newest)
        fleet_epsilon = epsilon(
            self._exploration, env_steps=self._fleet.env_steps, episodes=self._fleet.episodes
        )
        own = actor_epsilon(
            fleet_epsilon,
            ladder=self._exploration.ladder,
            index=self._fleet.index,
            count=self._fleet.count,
        )
        self.epsilon = own if self._policy.param_version >= 0 else 1.0
        self._builder.driven_by(param_version=self._policy.param_version, epsilon=self.epsilon)

    def _note_pace(self, took_s: float) -> None:
        if self._late_after_s is not None and took_s > self._late_after_s:
            self.late_steps += 1

    def _close(self, reason: str) -> None:
        """Ends the running episode as truncated, so that its steps reach the log."""
        segment = self._builder.close(reason)
        if segment is not None:
            self._append(segment)

    def _append(self, segment: Segment) -> None:
        self._sink.append(segment)
        end = segment.meta.end
        if end is not None:
            self.episodes += 1
            self.last_return = end.episode_return
            self.last_finish_ms = end.finish_ms
            _log.debug(
                "episode_ended",
                episode=segment.meta.episode,
                episode_return=round(end.episode_return, 3),
                steps=end.steps,
                reason=end.reason,
                finish_ms=end.finish_ms,
            )
