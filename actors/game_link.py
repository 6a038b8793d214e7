"""Holds a game that may fail, and makes a new one when it did."""

import threading
from collections.abc import Callable
from typing import Any

import structlog

from actors.game_contract import Game, Observation
from common.errors import ApexManiaError, MachineError

_log = structlog.get_logger()
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
MAX_CONSECUTIVE_FAULTS = 8


class GameFaultError(Exception):
    """The game raised in the middle of an episode."""


class GameLink:
    """A game behind a fence: what it raises ends an episode, not the actor.

    Our own errors pass through, since they say that the game breaks its contract and trying again would
    not help.

    Args:
        make_env: builds the game, again after each fault.
        stop: ends the waits.
        max_faults: faults without a whole episode between them after which the actor gives up.
        first_pause_s: wait after the first fault; it doubles with each further one.
    """

    def __init__(
        self,
        make_env: Callable[[], Game],
        *,
        stop: threading.Event,
        max_faults: int = MAX_CONSECUTIVE_FAULTS,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        self._make_env = make_env
        self._stop = stop
        self._max_faults = max_faults
        self._first_pause_s = first_pause_s
        self._env: Game | None = None
        self._consecutive = 0
        self.faults = 0

    def open(self) -> Game:
        """Returns the game, built if need be; what its construction raises passes through."""
        if self._env is None:
            self._env = self._make_env()
        return self._env

    def reset(self) -> tuple[Observation, dict[str, Any]] | None:
        """Starts an episode, with a new game if need be; None where it was stopped while waiting.

        Raises:
            MachineError: the game failed too often.
        """
        while not self._stop.is_set():
            if self._env is None and self._rest():
                break
            try:
                started: tuple[Observation, dict[str, Any]] = self.open().reset()
            except ApexManiaError:
                raise
            except Exception as error:  # noqa: BLE001 - a game may raise anything
                self._note(error)
            else:
                return started
        return None

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Does one env step.

        Raises:
            GameFaultError: the game raised; it is rebuilt at the next reset.
            MachineError: the game failed too often.
        """
        assert self._env is not None, "reset() comes first"
        try:
            observation, reward, terminated, truncated, info = self._env.step(action)
        except ApexManiaError:
            raise
        except Exception as error:
            self._note(error)
            raise GameFaultError from error
        if terminated or truncated:
            self._consecutive = 0
        return observation, float(reward), terminated, truncated, info

    def close(self) -> None:
        """Closes the game; one that fails even then is left to its fate."""
        env, self._env = self._env, None
        if env is None:
            return
        try:
            env.close()
        except Exception as error:  # noqa: BLE001 - a broken game may raise anything
            _log.warning("game_close_failed", error=repr(error))

    def _rest(self) -> bool:
        """Waits after a fault, longer after each further one; returns whether it was stopped."""
        if self._consecutive == 0:
            return False
        pause_s = self._first_pause_s * 2.0 ** (self._consecutive - 1)
        return self._stop.wait(min(pause_s, _LONGEST_PAUSE_S))

    def _note(self, error: Exception) -> None:
        """Counts a fault and drops the game."""
        self.faults += 1
        self._consecutive += 1
        _log.warning("game_fault", error=repr(error), consecutive=self._consecutive)
        self.close()
        if self._consecutive >= self._max_faults:
            raise MachineError(
                f"The game failed {self._consecutive} times without a whole episode between.",
                f"The last time it raised {type(error).__name__}: {error}",
                "Start the game by hand and play an episode; the log above has every fault.",
            ) from error
