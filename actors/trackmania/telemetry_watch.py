"""Judges from the telemetry whether an episode still is what it seems to be."""

import math
import time
from collections.abc import Sequence

from actors.game_contract import GameFaultError
from actors.trackmania.tee import (
    BROKEN,
    CLOSED,
    FLOWING,
    MISFRAMED,
    REFUSED,
    SILENT,
    STALLED,
    TelemetryTee,
)
from actors.trackmania.telemetry import Telemetry

CAUSES = {
    REFUSED: "telemetry_refused",
    SILENT: "not_on_map",
    STALLED: "telemetry_stalled",
    CLOSED: "telemetry_closed",
    MISFRAMED: "telemetry_misframed",
    BROKEN: "tee_died",
}
"""States of the tee by what ``actors.trackmania.game_trouble`` calls them.

Silent is a link that never flowed: in the menu the plugin takes the connection and has nothing to say.
"""
DEAD_INPUT_S = 1.2
"""A car that shows none of its controls for so long does not hear them."""
_DEAD_INPUT_LOOKS = 3
_JUMP_M = 20.0
_JUMP_SPEEDS = 3.0


class TelemetryWatch:
    """Remembers how an episode began; ``feed`` runs in the tee's thread, the rest in the env's."""

    def __init__(self) -> None:
        self._before: tuple[Telemetry, float] | None = None
        self._jump = ""
        self._drops = self._misframes = 0
        self._unheard_since_s: float | None = None
        self._unheard_looks = 0

    def feed(self, message: Telemetry, arrived_s: float) -> None:
        """Looks whether the car moved farther than a car can."""
        before, self._before = self._before, (message, arrived_s)
        if before is None:
            return
        last, last_s = before
        moved_m = math.dist(
            (message.x, message.y, message.z),
            (last.x, last.y, last.z),
        )
        speed_mps = max(message.speed_mps, last.speed_mps)
        if moved_m > _JUMP_M + _JUMP_SPEEDS * speed_mps * (arrived_s - last_s):
            self._jump = f"the car moved {moved_m:.0f} m between two messages"

    def begin(self, tee: TelemetryTee) -> None:
        """Forgets what was before; what breaks from here on is a fault."""
        self._drops, self._misframes = tee.counters.drops, tee.counters.misframes
        self.begin_race()

    def begin_race(self) -> None:
        """Forgets how the car came to the start."""
        self._jump = ""
        self._unheard_since_s = None

    def check(self, tee: TelemetryTee) -> None:
        """Sees that messages flow and that the stream was whole since ``begin``.

        Raises:
            GameFaultError: it is not so.
        """
        state = tee.state
        if tee.counters.misframes > self._misframes:
            raise GameFaultError(CAUSES[MISFRAMED], "the bytes were no message")
        if tee.counters.drops > self._drops:
            raise GameFaultError(CAUSES[CLOSED], f"the connection ended; now it is {state}")
        if state != FLOWING:
            raise GameFaultError(CAUSES[state], f"for {tee.since_s:.1f} s")

    def check_race(self, controls: Sequence[float], tee: TelemetryTee) -> None:
        """Sees that the car drove by itself, and that it hears its controls.

        Args:
            controls: gas, brake and steering of the env step.
            tee: with the newest message.

        Raises:
            GameFaultError: it jumped, or ignored the controls for more than a second.
        """
        if self._jump:
            raise GameFaultError("car_jumped", self._jump)
        heard = tee.latest is not None and any(
            (tee.latest[0].gas, tee.latest[0].brake, tee.latest[0].steer)
        )
        now_s = time.perf_counter()
        if heard or not any(controls):
            self._unheard_since_s = None
            return
        if self._unheard_since_s is None:
            self._unheard_since_s, self._unheard_looks = now_s, 0
        self._unheard_looks += 1
        unheard_s = now_s - self._unheard_since_s
        # A single look after a pause of our own would see a message from before the pause.
        if unheard_s >= DEAD_INPUT_S and self._unheard_looks >= _DEAD_INPUT_LOOKS:
            raise GameFaultError("inputs_dead", f"no control arrived for {unheard_s:.1f} s")
