"""Breaks the link to a stand-in in every known way and takes the time until it drives again."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import psutil

from actors.game_contract import GameFaultError
from actors.game_link import GameLink
from actors.games import make_game
from actors.standin.rig import StandInRig
from actors.trackmania.env import TrackmaniaEnv
from actors.trackmania.game_host import OwnStandIn
from common.game_config import GameConfig

GAS = 1
BEFORE_STEPS, AFTER_STEPS = 30, 20
GIVE_UP_STEPS = 200
_NAP_S = 0.02


@dataclass(frozen=True)
class Outcome:
    """What became of one fault.

    Attributes:
        fault: what was done.
        cause: what the env said of it.
        noticed_s: from the fault until the step raised.
        driving_s: from the fault until the first env step of the next attempt.
        left: processes of the lost env child that still live.
        unserved_s: for how much of the time until it was noticed this process was not served.
    """

    fault: str
    cause: str
    noticed_s: float
    driving_s: float
    left: tuple[str, ...]
    unserved_s: float = 0.0


class Naps:
    """Sleeps a little again and again, and sums up by how much it overslept."""

    def __init__(self) -> None:
        self.overslept_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sleep, name="naps")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sleep(self) -> None:
        while not self._over.is_set():
            began_s = time.monotonic()
            self._over.wait(_NAP_S)
            self.overslept_s += max(0.0, time.monotonic() - began_s - _NAP_S)


class Trials:
    """One link to one stand-in, broken again and again."""

    def __init__(self) -> None:
        game = make_game(GameConfig(name="standin"), training=True, seed=None)
        assert isinstance(game, TrackmaniaEnv)
        self.env = game
        self.link = GameLink(lambda: game, stop=threading.Event())
        self.outcomes: list[Outcome] = []

    @property
    def rig(self) -> StandInRig:
        assert isinstance(self.env.host, OwnStandIn)
        return self.env.host.rig

    def run(self, name: str) -> Outcome:
        """Drives, breaks, and drives again."""
        assert self.link.reset() is not None
        assert self.drive(BEFORE_STEPS) == ""
        family = [psutil.Process(self.env.child_pid)]
        family += family[0].children(recursive=True)
        began_s = time.monotonic()
        with Naps() as naps:
            BREAKS[name](self)
            cause = self.drive(GIVE_UP_STEPS)
            noticed_s = time.monotonic() - began_s
        assert self.link.reset() is not None
        self.link.step(GAS)
        driving_s = time.monotonic() - began_s
        assert self.drive(AFTER_STEPS) == "", f"{name}: it broke again"
        left = tuple(str(process) for process in family if process.is_running())
        outcome = Outcome(name, cause, noticed_s, driving_s, left, naps.overslept_s)
        self.outcomes.append(outcome)
        return outcome

    def run_between(self, name: str) -> tuple[list[str], float]:
        """Breaks between two attempts; returns the causes told, without repeats, and the time to drive again."""
        assert self.link.reset() is not None
        assert self.drive(BEFORE_STEPS) == ""
        began_s = time.monotonic()
        BREAKS[name](self)
        causes: list[str] = []
        while True:
            try:
                self.env.reset()
            except GameFaultError as fault:
                causes += [fault.cause] if fault.cause not in causes else []
                time.sleep(_NAP_S)
            else:
                break
        self.env.step(GAS)
        driving_s = time.monotonic() - began_s
        assert self.drive(AFTER_STEPS) == "", f"{name}: it broke again"
        return causes, driving_s

    def drive(self, steps: int) -> str:
        """Drives for so many steps, with the gas down, and returns the cause where it broke."""
        for _ in range(steps):
            try:
                _, _, terminated, truncated, _ = self.link.step(GAS)
            except GameFaultError as fault:
                return fault.cause
            if terminated or truncated:
                assert self.link.reset() is not None
        return ""

    def close(self) -> None:
        self.link.close()


def _standin(name: str) -> Callable[[Trials], None]:
    return lambda trials: trials.rig.control.fault(name)


def _child(number: signal.Signals) -> Callable[[Trials], None]:
    return lambda trials: os.kill(trials.env.child_pid, number)


def _rig(place: int, number: signal.Signals) -> Callable[[Trials], None]:
    return lambda trials: os.kill(trials.rig.pids[place], number)


BREAKS: dict[str, Callable[[Trials], None]] = {
    "telemetry connection dropped": _standin("drop"),
    "telemetry silent": _standin("stall"),
    "telemetry misframed": _standin("misframe"),
    "game frozen": _standin("freeze"),
    "game closed": _standin("close"),
    "game killed": _rig(1, signal.SIGKILL),
    "game stopped": _rig(1, signal.SIGSTOP),
    "window gone": _standin("window"),
    "menu opened": _standin("menu"),
    "another map loaded": _standin("map"),
    "gamepad not heard": _standin("deaf"),
    "display killed": _rig(0, signal.SIGKILL),
    "display stopped": _rig(0, signal.SIGSTOP),
    "env child killed": _child(signal.SIGKILL),
    "env child stopped": _child(signal.SIGSTOP),
}


def table(outcomes: Sequence[Outcome]) -> str:
    """Returns the outcomes as a Markdown table."""
    lines = ["| fault | cause | noticed after | drives again after |", "|---|---|---|---|"]
    lines += [
        f"| {one.fault} | `{one.cause}` | {one.noticed_s:.1f} s | {one.driving_s:.1f} s |"
        for one in outcomes
    ]
    return "\n".join(lines)
