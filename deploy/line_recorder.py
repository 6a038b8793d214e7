"""Waits for somebody to drive laps, and keeps the fastest as the reward line of the map."""

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from actors.trackmania.game_trouble import TROUBLES
from actors.trackmania.line_recording import LapRecorder, RecordedLap
from actors.trackmania.tee import FLOWING, MISFRAMED, REFUSED, TelemetryTee
from actors.trackmania.telemetry import Telemetry
from actors.trackmania.telemetry_watch import CAUSES
from common.errors import CorruptError, UnreachableError

Arrival = tuple[Telemetry, float]

_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds.

    Attributes:
        refused_s: for the plugin to listen.
        silent_s: for its telemetry to begin, or to go on.
        laps_s: for all laps.
    """

    refused_s: float = 15.0
    silent_s: float = 120.0
    laps_s: float = 900.0


class Watcher(Protocol):
    """Whoever is told how the recording goes."""

    def show(self, state: str, *, driven_m: float, speed_mps: float) -> None:
        """Takes the state (a word of the tee, or of the recorder) a few times a second."""

    def say(self, text: str) -> None:
        """Takes a line that stays."""


class LineRecorder:
    """Takes laps from the game's telemetry until there are enough.

    A lap with a respawn or with missing messages is refused with a word, and the next one counts.

    Args:
        name: the map.
        laps: how many to take.
        patience: how long to wait.
        watcher: is told how it goes.
    """

    def __init__(self, name: str, *, laps: int, patience: Patience, watcher: Watcher) -> None:
        self._laps = laps
        self._patience = patience
        self._watcher = watcher
        self._recorder = LapRecorder(name)
        self._found: list[RecordedLap] = []
        self._speed_mps = 0.0

    def run(self, port: int) -> RecordedLap:
        """Returns the fastest lap.

        Args:
            port: the plugin's port on this machine.

        Raises:
            UnreachableError: the telemetry did not come, or nobody finished the laps in time.
        """
        messages: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        tee = TelemetryTee(port, listener=lambda message, at_s: messages.put((message, at_s)))
        began_s = flowed_s = time.monotonic()
        try:
            while True:
                for message, arrived_s in _arrivals(messages):
                    self._take(message, arrived_s)
                    if len(self._found) >= self._laps:
                        return min(self._found, key=lambda lap: lap.seconds)
                now_s = time.monotonic()
                state = tee.state
                if state == FLOWING:
                    flowed_s = now_s
                self._watcher.show(
                    self._recorder.phase if state == FLOWING else state,
                    driven_m=self._recorder.driven_m,
                    speed_mps=self._speed_mps,
                )
                self._check_patience(
                    state, misframed=tee.counters.misframes > 0, without_s=now_s - flowed_s
                )
                if now_s - began_s > self._patience.laps_s:
                    raise self._too_late()
        finally:
            tee.close()

    def _take(self, message: Telemetry, arrived_s: float) -> None:
        self._speed_mps = message.speed_mps
        try:
            lap = self._recorder.feed(
                arrived_s=arrived_s,
                position=(message.x, message.y, message.z),
                distance_m=message.distance_m,
                speed_mps=message.speed_mps,
                finished=bool(message.finished),
            )
        except CorruptError as error:
            self._watcher.say(f"This lap does not count: {error.why}. Now {error.fix}.")
            return
        if lap is not None:
            self._found.append(lap)
            self._watcher.say(
                f"Lap {len(self._found)} of {self._laps}: {lap.line.length_m:,.1f} m, "
                f"finished {lap.seconds:.2f} s after the restart."
            )

    def _check_patience(self, state: str, *, misframed: bool, without_s: float) -> None:
        """Gives up where no telemetry came for too long."""
        limit_s = self._patience.refused_s if state == REFUSED else self._patience.silent_s
        if without_s <= limit_s:
            return
        trouble = TROUBLES[CAUSES[MISFRAMED if misframed else state]]
        raise UnreachableError(
            f"No telemetry came for {without_s:.0f} s.",
            trouble.meaning,
            f"{trouble.fix} ({trouble.anchor})",
        )

    def _too_late(self) -> UnreachableError:
        return UnreachableError(
            f"{len(self._found)} of {self._laps} laps were finished in {self._patience.laps_s:.0f} s.",
            "a lap counts from a restart of the race to the finish",
            "restart the race (Delete, or B on the gamepad) and drive to the finish; "
            f"to have longer: --timeout {2 * self._patience.laps_s:.0f}",
        )


def _arrivals(messages: "queue.SimpleQueue[Arrival]") -> Iterator[Arrival]:
    """Yields what arrives in the next moment."""
    until_s = time.monotonic() + _POLL_S
    while (left_s := until_s - time.monotonic()) > 0.0:
        try:
            yield messages.get(timeout=left_s)
        except queue.Empty:
            return
