"""Lap and split times to a frame, from when each telemetry message arrived.

The plugin sends no race clock. The clock of a race starts a fixed time after its restart, and a restart is
seen in the telemetry: the driven distance falls to zero. Where it was zero already (a race restarted in
its own countdown) the first message after the press of the button stands for it. The flag that says that the
finish was reached stays up until a race restarts, so it counts only after it was seen down.
"""

import threading
from collections import deque
from collections.abc import Sequence

from actors.progress import ProgressReward
from actors.trackmania.reward_line import RewardLine
from actors.trackmania.telemetry import Telemetry

SPLIT_EVERY_M = 150.0
_HISTORY_S = 8.0
_REACTS_WITHIN_S = 1.5
_FALL_M = 0.05


def split_distances_m(length_m: float) -> tuple[float, ...]:
    """Returns where split times are taken on a line: evenly spread, about 150 m apart, as sim does."""
    legs = max(2, round(length_m / SPLIT_EVERY_M))
    return tuple(length_m * (leg + 1) / legs for leg in range(legs - 1))


class LapClock:
    """Feeds on telemetry in the tee's thread; the env asks for times in its own.

    Args:
        countdown_s: from the restart of a race to the start of its clock.
    """

    def __init__(self, *, countdown_s: float) -> None:
        self._countdown_s = countdown_s
        self._lock = threading.Lock()
        self._history: deque[tuple[Telemetry, float]] = deque()
        self._progress: ProgressReward | None = None
        self._splits_m: tuple[float, ...] = ()
        self._start_s: float | None = None
        self._finish_s: float | None = None
        self._flag_fell = False
        self._splits_ms: list[float] = []

    def feed(self, message: Telemetry, arrived_s: float) -> None:
        """Takes the next message and when it arrived (``time.perf_counter``)."""
        with self._lock:
            self._history.append((message, arrived_s))
            while arrived_s - self._history[0][1] > _HISTORY_S:
                self._history.popleft()
            if self._start_s is not None:
                self._race(message, arrived_s)

    def follow(self, line: RewardLine) -> None:
        """Takes the reward line, along which the splits are, from the next restart on."""
        with self._lock:
            self._progress = ProgressReward(line.points)
            self._splits_m = split_distances_m(line.length_m)
            self._start_s = None

    def restarted(self, pressed_s: float) -> None:
        """Starts the clock of a new race.

        Args:
            pressed_s: when the restart was asked for, at most 8 s ago (``time.perf_counter``).
        """
        with self._lock:
            assert self._progress is not None, "follow() comes before the first race"
            self._progress.reset()
            self._finish_s, self._splits_ms = None, []
            seen_s = _restart_seen_s(self._history, pressed_s)
            self._start_s = seen_s + self._countdown_s
            since = [(message, at_s) for message, at_s in self._history if at_s >= seen_s]
            self._flag_fell = not (since and since[0][0].finished)
            for message, arrived_s in since:
                self._race(message, arrived_s)

    @property
    def lap_time_ms(self) -> float | None:
        """Milliseconds from start to finish; None where this race's finish was not reached yet."""
        with self._lock:
            if self._start_s is None or self._finish_s is None:
                return None
            return 1000.0 * (self._finish_s - self._start_s)

    @property
    def split_times_ms(self) -> tuple[float, ...]:
        """Milliseconds from the start to each split that was reached."""
        with self._lock:
            return tuple(self._splits_ms)

    def _race(self, message: Telemetry, arrived_s: float) -> None:
        """Notes splits and the finish; held under the lock."""
        assert self._progress is not None
        assert self._start_s is not None
        if self._finish_s is not None:
            return
        if message.finished:
            if self._flag_fell and arrived_s > self._start_s:
                self._finish_s = arrived_s
            return
        if not self._flag_fell:  # the race before ends only here, however late
            self._flag_fell = True
            self._start_s = arrived_s + self._countdown_s
        self._progress.advance((message.x, message.y, message.z))
        while (
            len(self._splits_ms) < len(self._splits_m)
            and self._progress.furthest_m >= self._splits_m[len(self._splits_ms)]
        ):
            self._splits_ms.append(1000.0 * (arrived_s - self._start_s))


def _restart_seen_s(history: Sequence[tuple[Telemetry, float]], pressed_s: float) -> float:
    """Returns when the race restarted: the fall of the distance, or the first message after the press."""
    first_s: float | None = None
    before: Telemetry | None = None
    for message, arrived_s in history:
        if arrived_s >= pressed_s:
            first_s = arrived_s if first_s is None else first_s
            fell = before is not None and message.distance_m < before.distance_m - _FALL_M
            if fell or (before is not None and before.finished and not message.finished):
                return arrived_s
            if arrived_s - pressed_s > _REACTS_WITHIN_S:
                break
        before = message
    return pressed_s if first_s is None else first_s
