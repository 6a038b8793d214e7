"""Breaks the link to a stand-in in every known way and takes the time until it drives again."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from actors.game_contract import GameFaultError
from actors.game_host import OwnStandIn
from actors.game_link import GameLink
from actors.games import make_game
from actors.standin.rig import StandInRig
from actors.trackmania_env import TrackmaniaEnv
from common.game_config import GameConfig

BEFORE_STEPS, AFTER_STEPS = 30, 20
GIVE_UP_STEPS = 200
Break = Callable[[TrackmaniaEnv], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one fault.

    Attributes:
        fault: what was done.
        cause: what the env said of it.
        detected_s: from the fault until the step raised.
        driving_s: from the fault until the first env step of the next attempt.
        left: processes of the lost env child that still live.
    """

    fault: str
    cause: str
    detected_s: float
    driving_s: float
    left: tuple[str, ...]


def standin_fault(name: str) -> Break:
    return lambda env: rig_of(env).control.fault(name)


def rig_of(env: TrackmaniaEnv) -> StandInRig:
    assert isinstance(env.host, OwnStandIn)
    return env.host.rig


def to_child(number: signal.Signals) -> Break:
    return lambda env: os.kill(env.child_pid, number)


def to_rig(place: int, number: signal.Signals) -> Break:
    return lambda env: os.kill(rig_of(env).pids[place], number)


BREAKS: dict[str, Break] = {
    "telemetry connection dropped": standin_fault("drop"),
    "telemetry silent": standin_fault("stall"),
    "telemetry misframed": standin_fault("misframe"),
    "game frozen": standin_fault("freeze"),
    "game closed": standin_fault("close"),
    "game killed": to_rig(1, signal.SIGKILL),
    "game stopped": to_rig(1, signal.SIGSTOP),
    "window gone": standin_fault("window"),
    "menu opened": standin_fault("menu"),
    "another map loaded": standin_fault("map"),
    "gamepad not heard": standin_fault("deaf"),
    "display killed": to_rig(0, signal.SIGKILL),
    "env child killed": to_child(signal.SIGKILL),
    "env child stopped": to_child(signal.SIGSTOP),
}


class Trials:
    """One link to one stand-in, broken again and again."""

    def __init__(self) -> None:
        config = GameConfig(name="standin")
        game = make_game(config, training=True, seed=None)
        assert isinstance(game, TrackmaniaEnv)
        self.env = game
        self.link = GameLink(lambda: game, stop=threading.Event())

    def run(self, name: str) -> Outcome:
        """Drives, breaks, and drives again."""
        assert self.link.reset() is not None
        self._drive(BEFORE_STEPS)
        family = [psutil.Process(self.env.child_pid)]
        family += family[0].children(recursive=True)
        began_s = time.monotonic()
        BREAKS[name](self.env)
        cause = self._drive(GIVE_UP_STEPS)
        detected_s = time.monotonic() - began_s
        assert self.link.reset() is not None
        self.link.step(1)
        driving_s = time.monotonic() - began_s
        assert self._drive(AFTER_STEPS) == "", f"{name}: it broke again"
        left = tuple(str(process) for process in family if process.is_running())
        return Outcome(name, cause, detected_s, driving_s, left)

    def close(self) -> None:
        self.link.close()

    def _drive(self, steps: int) -> str:
        """Drives for so many steps, with the gas down, and returns the cause where it broke."""
        for _ in range(steps):
            try:
                _, _, terminated, truncated, _ = self.link.step(1)
            except GameFaultError as fault:
                return fault.cause
            if terminated or truncated:
                assert self.link.reset() is not None
        return ""
