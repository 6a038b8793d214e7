"""Holds a game that may fail, and makes a new one when it did."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from actors.game_contract import (
    Game,
    GameFaultError,
    GameNotReadyError,
    Observation,
    SelfMendingGame,
)
from actors.trackmania.game_trouble import TROUBLES
from common.errors import ApexManiaError, MachineError, UnreachableError

_log = structlog.get_logger()
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_BREATH_S = 0.05
MAX_CONSECUTIVE_FAULTS = 8
STARTING, DRIVING = "starting", "driving"


class GameLink:
    """A game behind a fence: what it raises ends an episode, not the actor.

    Our own errors pass through, since they say that the game breaks its contract and trying again would
    not help. A game that raises ``GameFaultError`` mends itself: it is kept, asked again for as long as
    it takes, and its trouble is told once for each change.

    Args:
        make_env: builds the game, again after each fault of one that does not mend itself.
        stop: ends the waits.
        max_faults: faults without a whole episode between them after which the actor gives up.
        first_pause_s: wait after the first fault; it doubles with each further one.
        patience_s: how long to wait for a game that is not ready; None waits for ever.

    Attributes:
        faults: how often the game failed.
        fault_causes: the same by cause; where the game names none, the type of what it raised.
        state: ``driving``, ``starting``, or what keeps the game from driving.
    """

    def __init__(
        self,
        make_env: Callable[[], Game],
        *,
        stop: threading.Event,
        max_faults: int = MAX_CONSECUTIVE_FAULTS,
        first_pause_s: float = _FIRST_PAUSE_S,
        patience_s: float | None = None,
    ) -> None:
        self._make_env = make_env
        self._stop = stop
        self._max_faults = max_faults
        self._first_pause_s = first_pause_s
        self._patience_s = patience_s
        self._env: Game | None = None
        self._consecutive = 0
        self._built = 0
        self._mended_before = 0
        self.faults = 0
        self.fault_causes: Counter[str] = Counter()
        self.state = STARTING

    @property
    def env_restarts(self) -> int:
        """How often the game, or what it mends by itself, was started anew."""
        return max(0, self._built - 1) + self._mended_before + _mended(self._env)

    @property
    def stopped(self) -> bool:
        """Whether nobody waits for the game any more."""
        return self._stop.is_set()

    def open(self) -> Game:
        """Returns the game, built if need be; what its construction raises passes through."""
        if self._env is None:
            self._env = self._make_env()
            self._built += 1
        return self._env

    def reset(self, *, seed: int | None = None) -> tuple[Observation, dict[str, Any]] | None:
        """Starts an episode, with a new game if need be; None where it was stopped while waiting.

        Args:
            seed: of the reset.

        Raises:
            MachineError: the game failed too often.
            UnreachableError: it was not ready within the patience.
        """
        began_s = time.monotonic()
        while not self._stop.is_set():
            if self._env is None and self._rest():
                break
            try:
                started: tuple[Observation, dict[str, Any]] = self.open().reset(seed=seed)
            except ApexManiaError:
                raise
            except GameNotReadyError as error:
                self._note_state(error)
                self._check_patience(error, waited_s=time.monotonic() - began_s)
            except GameFaultError as error:
                self._note_fault(error)
                self._check_patience(error, waited_s=time.monotonic() - began_s)
            except Exception as error:  # noqa: BLE001 - a game may raise anything
                self._note(error)
            else:
                self.state = DRIVING
                return started
        return None

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Does one env step.

        Raises:
            GameFaultError: the game raised; it is rebuilt or mends itself at the next reset.
            MachineError: the game failed too often.
        """
        assert self._env is not None, "reset() comes first"
        try:
            observation, reward, terminated, truncated, info = self._env.step(action)
        except ApexManiaError:
            raise
        except GameFaultError as error:
            self._note_fault(error)
            raise
        except Exception as error:
            self._note(error)
            raise GameFaultError(type(error).__name__, str(error)) from error
        if terminated or truncated:
            self._consecutive = 0
        return observation, float(reward), terminated, truncated, info

    def close(self) -> None:
        """Closes the game; one that fails even then is left to its fate."""
        env, self._env = self._env, None
        if env is None:
            return
        self._mended_before += _mended(env)
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

    def _note_fault(self, error: GameFaultError) -> None:
        """Counts a fault of a game that mends itself."""
        self.faults += 1
        self.fault_causes[error.cause] += 1
        self.state = error.cause
        _log.warning("game_fault", cause=error.cause, detail=error.detail, faults=self.faults)

    def _note_state(self, error: GameNotReadyError) -> None:
        """Tells what the game waits for, once for each change, and gives others a turn."""
        if error.cause != self.state:
            self.state = error.cause
            _log.info("game_not_ready", cause=error.cause, detail=error.detail)
        self._stop.wait(_BREATH_S)

    def _check_patience(self, error: GameFaultError, *, waited_s: float) -> None:
        """Gives up on a game that could not be driven for too long."""
        if self._patience_s is None or waited_s <= self._patience_s:
            return
        trouble = TROUBLES.get(error.cause)
        raise UnreachableError(
            f"The game could not be driven for {waited_s:.0f} s: {error}.",
            trouble.meaning if trouble else "it does not become ready",
            f"{trouble.fix} ({trouble.anchor})" if trouble else "apexmania doctor --role actor",
        ) from error

    def _note(self, error: Exception) -> None:
        """Counts a fault and drops the game."""
        self.faults += 1
        self.fault_causes[type(error).__name__] += 1
        self.state = type(error).__name__
        self._consecutive += 1
        _log.warning("game_fault", error=repr(error), consecutive=self._consecutive)
        self.close()
        if self._consecutive >= self._max_faults:
            raise MachineError(
                f"The game failed {self._consecutive} times without a whole episode between.",
                f"The last time it raised {type(error).__name__}: {error}",
                "Start the game by hand and play an episode; the log above has every fault.",
            ) from error


def _mended(env: Game | None) -> int:
    """Returns how often a game mended itself."""
    unwrapped: object = None if env is None else env.unwrapped
    return unwrapped.restarts if isinstance(unwrapped, SelfMendingGame) else 0
