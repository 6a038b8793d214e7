"""What the checks of a game share while they run: window, telemetry, gamepad, tmrl."""

import json
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from actors.trackmania.tee import TelemetryTee
from actors.trackmania.telemetry import Telemetry
from actors.trackmania.tmrl_home import write_home
from actors.trackmania.window_watch import WindowWatch
from deploy.doctor.game_subject import GameSubject
from deploy.doctor.line_process import LineProcess

_GAMEPAD_S = 5.0
_KEPT_MESSAGES = 4000
_LOOK_S = 0.01

Arrived = tuple[Telemetry, float]
"""A message and when it arrived, on the clock of ``time.perf_counter``."""


class GameBench:
    """The tools of an examination; each is made when it is first needed and given back at the end.

    Args:
        subject: the game.

    Attributes:
        subject: the game.
        start: x, y, z of the car at the start of the race (m), None until it was seen there.
    """

    def __init__(self, subject: GameSubject) -> None:
        self.subject = subject
        self.start: tuple[float, float, float] | None = None
        self._stack = ExitStack()
        self._watch: WindowWatch | None = None
        self._tee: TelemetryTee | None = None
        self._gamepad: LineProcess | None = None
        self._tmrl: LineProcess | None = None
        self._messages: deque[Arrived] = deque(maxlen=_KEPT_MESSAGES)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives everything back."""
        self.let_go()
        self._stack.close()

    @property
    def watch(self) -> WindowWatch:
        """A look at the screen.

        Raises:
            DisplayLostError: there is no screen.
        """
        if self._watch is None:
            self._watch = WindowWatch(display=self.subject.display)
            self._stack.callback(self._watch.close)
        return self._watch

    @property
    def tee(self) -> TelemetryTee:
        """The connection to the plugin, made as an actor makes it."""
        if self._tee is None:
            self._tee = TelemetryTee(self.subject.telemetry_port, listener=self._note)
        return self._tee

    @property
    def gamepad(self) -> LineProcess:
        """A virtual gamepad in a process of its own; its first answer is yet to come."""
        if self._gamepad is None:
            arguments = ("--stand-in",) if self.subject.is_stand_in else ()
            self._gamepad = LineProcess(
                "deploy.doctor.gamepad_program", *arguments, environment=self.subject.environment
            )
        return self._gamepad

    @property
    def tmrl(self) -> LineProcess:
        """A process of its own for tmrl; its first answer is yet to come."""
        if self._tmrl is None:
            home = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="am-doctor-"))
            write_home(Path(home), self.subject.config.game)
            self._tmrl = self._stack.enter_context(
                LineProcess(
                    "deploy.doctor.tmrl_program", home, environment=self.subject.environment
                )
            )
        return self._tmrl

    def press(self, *, gas: float = 0.0, steer: float = 0.0, button: int = 0) -> float:
        """Sets the gamepad, releasing what is not named, and returns when (``time.perf_counter``).

        Args:
            gas: 0 to 1.
            steer: -1 is full left.
            button: bits of XInput's buttons.

        Raises:
            NoAnswerError: the gamepad's process is gone.
        """
        sent_s = time.perf_counter()
        self.gamepad.ask(json.dumps({"gas": gas, "steer": steer, "button": button}), _GAMEPAD_S)
        return sent_s

    def messages_since(self, instant_s: float) -> list[Arrived]:
        """Returns the messages that arrived after an instant (``time.perf_counter``)."""
        with self._lock:
            return [pair for pair in self._messages if pair[1] > instant_s]

    def await_message(
        self, wanted: Callable[[Telemetry], bool], *, since_s: float, timeout_s: float
    ) -> Arrived | None:
        """Returns the first message after an instant that is as wanted, None where none comes.

        Args:
            wanted: judges a message.
            since_s: the instant (``time.perf_counter``).
            timeout_s: how long to wait from now (s).
        """
        end_s = time.perf_counter() + timeout_s
        while True:
            for pair in self.messages_since(since_s):
                if wanted(pair[0]):
                    return pair
            if time.perf_counter() > end_s:
                return None
            time.sleep(_LOOK_S)

    def let_go(self) -> None:
        """Gives gamepad and telemetry back, so that an actor's own can take their place."""
        if self._gamepad is not None:
            self._gamepad.close()
            self._gamepad = None
        if self._tee is not None:
            self._tee.close()
            self._tee = None

    def _note(self, message: Telemetry, arrived_s: float) -> None:
        with self._lock:
            self._messages.append((message, arrived_s))
