"""The stand-in's race, telemetry and gamepad in a thread, without a window; parts of it can be broken."""

import threading
from types import TracebackType
from typing import Self

from actors.sim.physics import TICK_S
from actors.standin.gamepad import GamepadReceiver
from actors.standin.pad import Pad
from actors.standin.race import Race, RaceState
from actors.standin.telemetry_server import TelemetryServer
from actors.trackmania.telemetry import pack


class PadGame:
    """A game at its own pace that hears its gamepad.

    Attributes:
        port: where it sends telemetry.
        pad_port: where it hears its gamepad.
        race: what it simulates.

    Args:
        track: of the catalogue.
        begin_m: how far the car has been driven when the game is opened.
        stuck: the car shows what is pressed and does not move.
        restarts: whether the buttons are bound.
    """

    def __init__(
        self, track: str, *, begin_m: float = 0.0, stuck: bool = False, restarts: bool = True
    ) -> None:
        self.race = Race(track, autopilot=True)
        while self.race.distance_m < begin_m or self.race.state is not RaceState.RACING:
            self.race.tick(Pad())
        self.race.autopilot = False
        self._stuck = stuck
        self._restarts = restarts
        self._server = TelemetryServer(0)
        self._receiver = GamepadReceiver(0)
        self.port, self.pad_port = self._server.port, self._receiver.port
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._server.close()
        self._receiver.close()

    def _run(self) -> None:
        while not self._closing.wait(TICK_S):
            self._server.poll()
            buttons = self._receiver.poll()
            if self._restarts:
                self.race.press(buttons)
            pad = self._receiver.pad
            if not self._stuck:
                self.race.tick(pad)
            message = self.race.telemetry()
            assert message is not None
            self._server.send(pack(message._replace(gas=pad.gas, steer=pad.steer)))
