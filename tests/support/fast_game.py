"""The stand-in's race and telemetry in a thread, without a window and faster than the clock."""

import threading
from types import TracebackType
from typing import Self

from actors.standin.pad import Pad
from actors.standin.race import Race
from actors.standin.telemetry_server import TelemetryServer
from actors.trackmania.telemetry import pack

_PAUSE_S = 0.001


class FastGame:
    """Drives lap after lap of a track by itself, about ten times as fast as the game.

    Attributes:
        port: where it sends telemetry.
        race: what it simulates.
        drops: how often the connection is still to be closed, once in each race at ``drop_at_m``.
    """

    def __init__(self, track: str, *, drops: int = 0, drop_at_m: float = 100.0) -> None:
        self.race = Race(track, autopilot=True)
        self.drops = drops
        self._drop_at_m = drop_at_m
        self._server = TelemetryServer(0)
        self.port = self._server.port
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

    def _run(self) -> None:
        dropped_in_race = -1
        while not self._closing.wait(_PAUSE_S):
            self._server.poll()
            self.race.tick(Pad())
            message = self.race.telemetry()
            if message is None:
                continue
            self._server.send(pack(message))
            due = self.drops > 0 and self.race.distance_m > self._drop_at_m
            if due and dropped_in_race != self.race.restarts:
                self.drops -= 1
                dropped_in_race = self.race.restarts
                self._server.drop()
