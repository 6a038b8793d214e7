"""Who runs the game: the actor itself, where it is the stand-in, or the user."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from actors.game_contract import GameNotReadyError
from actors.standin.rig import StandInRig
from common.errors import MachineError

PATIENCE_S = 0.75
"""Trouble that lasts so long does not pass by itself."""
COOL_DOWN_S = 5.0
"""A game that was just started needs time before it can be judged again."""
_KILL_AFTER_S = 0.5
_RETRY_S = 2.0
_ANSWER_S = 1.0
_NOT_THE_GAME = frozenset({"child_hung", "child_died", "tmrl_raised"})
_AT_ONCE = frozenset({"car_jumped", "inputs_dead", "display_lost"})
_SOON = frozenset({"telemetry_stalled"})
"""After these it may come back on another map; a fresh game is there before tmrl is."""
_log = structlog.get_logger()


class GameHost(Protocol):
    """What the env asks of the one who runs the game."""

    @property
    def telemetry_port(self) -> int:
        """Port of the plugin; it may change when the game is started anew."""

    @property
    def display(self) -> str | None:
        """X display of the game, None for the one of the environment."""

    def start(self) -> None:
        """Sees that the game was started once.

        Raises:
            GameNotReadyError: it ran before and does not come up now; ask again.
            MachineError: it does not start on this machine.
        """

    def environment(self) -> Mapping[str, str]:
        """Returns the variables by which tmrl finds the game's screen and gamepad."""

    def mend(self, cause: str, *, lasting_s: float) -> bool:
        """Starts anew what can be, and returns whether anything was.

        Args:
            cause: of the trouble.
            lasting_s: how long it lasts already.
        """

    def close(self) -> None:
        """Ends what was started here."""


class UsersGame:
    """The game that the user started and watches over.

    Args:
        telemetry_port: of the plugin.
    """

    def __init__(self, telemetry_port: int) -> None:
        self.telemetry_port = telemetry_port
        self.display: str | None = None

    def start(self) -> None:
        """Does nothing: the user starts the game."""

    def environment(self) -> Mapping[str, str]:
        """Returns nothing: the game is on the user's screen."""
        return {}

    def mend(self, cause: str, *, lasting_s: float) -> bool:  # noqa: ARG002 - the host's signature
        """Leaves the game to its user."""
        return False

    def close(self) -> None:
        """Leaves the game to its user."""


class OwnStandIn:
    """A stand-in on a private screen, started anew where it is in trouble.

    Args:
        track: of the simulation.
    """

    def __init__(self, track: str) -> None:
        self._track = track
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._rig: StandInRig | None = None
        self._ran = False
        self._started_s = 0.0
        self._failed_s = 0.0
        self._failure = ""

    @property
    def rig(self) -> StandInRig:
        """The running stand-in.

        Raises:
            GameNotReadyError: there is none.
        """
        if self._rig is None:
            raise GameNotReadyError("standin_failed", self._failure or "it was not started yet")
        return self._rig

    @property
    def telemetry_port(self) -> int:
        """Port of its telemetry."""
        return self.rig.telemetry_port

    @property
    def display(self) -> str | None:
        """Its screen."""
        return self.rig.display

    def start(self) -> None:
        """Starts screen and game, the first time."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix="apexmania-standin-", ignore_cleanup_errors=True
            )
        if self._rig is not None:
            return
        if self._failure and time.monotonic() - self._failed_s < _RETRY_S:
            raise GameNotReadyError("standin_failed", self._failure)
        rig = StandInRig(self._track, folder=Path(self._folder.name))  # takes ports of its own
        try:
            rig.start()
        except (MachineError, OSError) as error:
            if not self._ran:
                raise
            self._failed(error)
            raise GameNotReadyError("standin_failed", self._failure) from error
        self._rig, self._started_s = rig, time.monotonic()
        self._ran, self._failure = True, ""

    def environment(self) -> Mapping[str, str]:
        """Returns its screen and the port of its gamepad."""
        return self.rig.environment()

    def mend(self, cause: str, *, lasting_s: float) -> bool:
        """Starts a dead screen or game at once, and a game in lasting trouble again.

        Where that fails all of it is ended, and ``start`` begins from nothing.
        """
        rig = self._rig
        if rig is None:
            return False
        if rig.game_alive and rig.display_alive and not self._needed(cause, lasting_s):
            return False
        if not rig.display_answers(within_s=_ANSWER_S):
            _log.info("standin_screen_restarts", cause=cause)
            self._leave()
            return True
        if cause == "display_lost" and rig.game_alive:
            return False  # it answers again
        _log.info("standin_restarts", cause=cause)
        try:
            rig.restart_game(patience_s=_KILL_AFTER_S)
        except (MachineError, OSError) as error:
            self._failed(error)
            self._leave()
        self._started_s = time.monotonic()
        return True

    def _needed(self, cause: str, lasting_s: float) -> bool:
        """Returns whether a game whose process lives has to be started again."""
        if cause in _AT_ONCE:
            return True
        young = time.monotonic() - self._started_s < COOL_DOWN_S
        patience_s = 0.0 if cause in _SOON else PATIENCE_S
        return cause not in _NOT_THE_GAME and lasting_s >= patience_s and not young

    def close(self) -> None:
        """Ends screen and game."""
        self._leave()
        if self._folder is not None:
            self._folder.cleanup()

    def _failed(self, error: MachineError | OSError) -> None:
        """Remembers why it does not come up."""
        self._failed_s, self._failure = time.monotonic(), " ".join(str(error).split())
        _log.warning("standin_failed", error=self._failure)

    def _leave(self) -> None:
        rig, self._rig = self._rig, None
        if rig is not None:
            rig.stop(patience_s=_KILL_AFTER_S)
