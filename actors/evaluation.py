"""Drives greedy, noise-free laps, and drives again what a fault of the game broke."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import structlog
from gymnasium import spaces

from actors.evaluation_report import EvaluationReport, Lap
from actors.game_contract import Game, GameFaultError, Observation, end_reason
from actors.game_link import GameLink
from actors.policy import Policy, QValues
from common.errors import MachineError

_MOST_TRIES = 6
_log = structlog.get_logger()

OnLap = Callable[[EvaluationReport], object]


class Spectator(Protocol):
    """Whoever looks on while attempts are driven."""

    def look(self, attempt: "Attempt", action: int, q_values: QValues) -> None:
        """Takes what is about to be done; once more with the last action when the attempt has ended."""


def evaluate(
    policy: Policy,
    link: GameLink,
    *,
    episodes: int,
    seed: int,
    spectator: Spectator | None = None,
    on_lap: OnLap | None = None,
) -> EvaluationReport | None:
    """Drives the attempts greedily and returns the report, or None where the link was stopped.

    An attempt that a fault of the game ended is driven again; what the game takes for it is no lap.

    Args:
        policy: whose mean weights drive.
        link: the game; it stays open.
        episodes: attempts, at least one.
        seed: the seeds of the attempts come from it, so that the same seed gives the same starts.
        spectator: looks on.
        on_lap: takes the report of the attempts so far, after each.

    Raises:
        MachineError: the game broke again and again.
        UnreachableError: it was not ready within the link's patience.
    """
    _warm_up(policy, link.open())
    before = Counter(link.fault_causes)
    laps: tuple[Lap, ...] = ()
    report = None
    for lap_seed in lap_seeds(seed, episodes):
        lap = drive_lap(policy, link, seed=lap_seed, spectator=spectator)
        if lap is None:
            return None
        laps += (lap,)
        report = EvaluationReport(policy.param_version, laps, dict(link.fault_causes - before))
        if on_lap is not None:
            on_lap(report)
    return report


def lap_seeds(seed: int, episodes: int) -> Sequence[int]:
    """Returns the reset seeds of an evaluation; a longer one begins with those of a shorter one."""
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(episodes)]


def drive_lap(
    policy: Policy, link: GameLink, *, seed: int, spectator: Spectator | None = None
) -> Lap | None:
    """Drives one attempt greedily, again where the game broke, and returns it; None where stopped.

    Args:
        policy: drives.
        link: the game.
        seed: gives the start.
        spectator: looks on.

    Raises:
        MachineError: the game broke again and again.
        UnreachableError: it was not ready within the link's patience.
    """
    for _ in range(_MOST_TRIES):
        started = link.reset(seed=seed)
        if started is None:
            return None
        attempt = Attempt(link, started, seed=seed)
        try:
            _drive(policy, attempt, link, spectator)
        except GameFaultError as error:
            _log.info("attempt_repeats", cause=error.cause, seed=seed)
            continue
        return attempt.lap() if attempt.ended else None
    raise MachineError(
        f"One attempt broke {_MOST_TRIES} times in a row.",
        f"The game failed by these causes: {dict(link.fault_causes)}.",
        "apexmania doctor --role actor",
    )


def _drive(policy: Policy, attempt: "Attempt", link: GameLink, spectator: Spectator | None) -> None:
    """Drives to the end of the attempt, or until the link is stopped."""
    while not (attempt.ended or link.stopped):
        action, q_values = policy.greedy(attempt.observation)
        if spectator is not None:
            spectator.look(attempt, action, q_values)
        attempt.step(action)
    if spectator is not None and attempt.ended:
        spectator.look(attempt, action, q_values)


def _warm_up(policy: Policy, env: Game) -> None:
    """Does what a policy does once, such as folding its layers, before a game that does not wait."""
    space = env.observation_space
    assert isinstance(space, spaces.Dict)
    blank = {name: np.zeros_like(part.sample()) for name, part in space.spaces.items()}
    policy.greedy(blank)


class Steps(Protocol):
    """What an attempt needs of a game, or of its link."""

    def step(self, action: int, /) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        """Does one env step."""


class Attempt:
    """One episode of evaluation while it is driven.

    Args:
        game: does the steps.
        started: what its reset returned.
        seed: seed of the reset.
    """

    def __init__(
        self, game: Steps, started: tuple[Observation, dict[str, Any]], *, seed: int
    ) -> None:
        self._game = game
        self._seed = seed
        self.observation, self.info = started
        self.actions: list[int] = []
        self.episode_return = 0.0
        self.progress_m = 0.0
        self.ended = False
        self.reason = ""

    def step(self, action: int) -> None:
        """Does one env step."""
        self.observation, reward, terminated, truncated, self.info = self._game.step(action)
        self.actions.append(action)
        self.episode_return += float(reward)
        self.progress_m = max(self.progress_m, float(self.info.get("progress_m", 0.0)))
        self.ended = bool(terminated or truncated)
        if self.ended:
            self.reason = end_reason(self.info, terminated=terminated)

    def lap(self) -> Lap:
        """Returns the record of what was driven."""
        finished = bool(self.info.get("finished"))
        return Lap(
            seed=self._seed,
            actions=tuple(self.actions),
            finished=finished,
            lap_time_ms=float(self.info["lap_time_ms"]) if finished else None,
            split_times_ms=tuple(float(split) for split in self.info.get("split_times_ms", ())),
            episode_return=self.episode_return,
            reason=self.reason,
            progress_m=self.progress_m,
        )
