"""The stand-in game: race, window, telemetry, gamepad, control and faults, one turn at a time."""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from actors.sim.catalogue import TRACK_NAMES
from actors.sim.physics import TICK_S
from actors.standin.control import ControlServer
from actors.standin.faults import Faults, PlannedFault, check_fault
from actors.standin.gamepad import GamepadReceiver
from actors.standin.pad import B_BUTTON, Pad
from actors.standin.ports import DEFAULT_CONTROL_PORT, DEFAULT_PAD_PORT
from actors.standin.race import Race, RaceState
from actors.standin.telemetry_server import TelemetryServer
from actors.standin.window import GameWindow
from actors.trackmania.telemetry import DEFAULT_PORT, pack
from common.errors import ConfigError

SLOW_FPS = 5.0
LOWEST_FPS, HIGHEST_FPS = 1, 240
_LATE_TICKS = 30


@dataclass(frozen=True, slots=True)
class StandInOptions:
    """What a stand-in is started with.

    Attributes:
        track: name of the catalogue, or ``generated:<seed>``.
        port: TCP port of the telemetry, 0 for a free one.
        pad_port: UDP port of the gamepad, 0 for a free one.
        control_port: TCP port of the control, 0 for a free one.
        faults: those that come by themselves.
        autopilot: whether the car drives itself, lap after lap.
        fps: pictures and messages a second.
    """

    track: str = "first-lap"
    port: int = DEFAULT_PORT
    pad_port: int = DEFAULT_PAD_PORT
    control_port: int = DEFAULT_CONTROL_PORT
    faults: tuple[PlannedFault, ...] = ()
    autopilot: bool = False
    fps: int = 60

    def __post_init__(self) -> None:
        """Checks the rate.

        Raises:
            ConfigError: no game runs at that.
        """
        if not LOWEST_FPS <= self.fps <= HIGHEST_FPS:
            raise ConfigError(
                f"{self.fps} frames a second.",
                f"the stand-in draws {LOWEST_FPS} to {HIGHEST_FPS}",
                "--fps 60",
            )


class StandIn:
    """One running game.

    Attributes:
        running: False when the game wants to exit.
        why_over: what ended it, empty while it runs.
    """

    def __init__(self, options: StandInOptions, *, display: str | None, now_s: float) -> None:
        """Takes the ports and opens the window.

        Args:
            options: what to play.
            display: X display, None for ``$DISPLAY``.
            now_s: the time; every later one counts from here.

        Raises:
            ConfigError: there is no such track.
            MachineError: a port is taken, or no X server answers.
        """
        self._options = options
        self._race = Race(options.track, autopilot=options.autopilot)
        self._faults = Faults(options.faults, now_s=now_s)
        with ExitStack() as parts:
            self._server = TelemetryServer(options.port)
            parts.callback(self._server.close)
            self._pad = GamepadReceiver(options.pad_port)
            parts.callback(self._pad.close)
            self._control = ControlServer(options.control_port)
            parts.callback(self._control.close)
            self._window = GameWindow(display)
            parts.callback(self._window.disconnect)
            self._parts = parts.pop_all()
        self._now_s = self._tick_due_s = self._frame_due_s = now_s
        self._frames = 0
        self._elsewhere = False
        self._cut_next = False
        self.why_over = ""

    @property
    def running(self) -> bool:
        """Whether the game goes on."""
        return not self.why_over

    @property
    def next_turn_s(self) -> float:
        """When there is something to do again."""
        return min(self._tick_due_s, self._frame_due_s)

    def marks(self) -> tuple[object, ...]:
        """Returns what a spectator would call a change when it differs."""
        return (
            self._race.state,
            self._race.restarts,
            self._race.track.name,
            self._faults.active,
            self._cut_next,
            self._server.clients,
        )

    def turn(self, now_s: float) -> None:
        """Does all that is due: ticks that are late are caught up, pictures that are late are not made.

        Args:
            now_s: the time.

        Raises:
            MachineError: the X server is gone.
        """
        self._now_s = now_s
        self._control.poll(self._answer)
        for fault in self._faults.advance(now_s):
            self._strike(fault)
        self._apply_lasting_faults()
        self._server.poll()
        pad, pressed = self._controls()
        ticks = max(math.floor((now_s - self._tick_due_s) / TICK_S) + 1, 0)
        self._tick_due_s += ticks * TICK_S
        if "freeze" not in self._faults:
            for _ in range(min(ticks, _LATE_TICKS)):
                self._race.tick(pad)
            self._race.press(pressed)
        if now_s >= self._frame_due_s:
            period_s = 1.0 / (SLOW_FPS if "slow" in self._faults else self._options.fps)
            self._frame_due_s = max(self._frame_due_s + period_s, now_s)
            if "freeze" not in self._faults:
                self._show_frame()

    def status(self) -> dict[str, Any]:
        """Returns how the game is, as control and people ask for it."""
        message = self._race.telemetry()
        return {
            "state": self._race.state.value,
            "track": self._race.track.name,
            "lap_time_ms": self._race.car.lap_time_ms,
            "position": None if message is None else [message.x, message.y, message.z],
            "speed_mps": self._race.car.speed_mps,
            "distance_m": self._race.distance_m,
            "restarts": self._race.restarts,
            "autopilot": self._race.autopilot,
            "faults": list(self._faults.active),
            "pending": ["misframe"] if self._cut_next else [],
            "clients": self._server.clients,
            "messages": self._server.messages,
            "pad_datagrams": self._pad.datagrams,
            "frames": self._frames,
            "window": list(self._window.size) if self._window.is_open else None,
            **self.ports(),
        }

    def ports(self) -> dict[str, int]:
        """Returns where it listens."""
        return {
            "port": self._server.port,
            "pad_port": self._pad.port,
            "control_port": self._control.port,
        }

    def close(self) -> None:
        """Exits as a game does: window and ports are gone."""
        self._parts.close()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Does what control asks for."""
        command = request.get("command")
        if command == "fault":
            name, span_s = check_fault(str(request.get("name"))), _span(request.get("seconds"))
            self._faults.strike(name, now_s=self._now_s, span_s=span_s)
            return {"clients": self._server.clients}
        if command == "heal":
            self._faults.heal()
            self._cut_next = False
        elif command == "restart_race":
            self._race.press(B_BUTTON)
        elif command != "status":
            raise ConfigError(
                f"There is no command {command!r}.",
                "the stand-in knows fault, heal, restart_race and status",
                '{"command": "status"}',
            )
        return self.status() if command == "status" else {}

    def _strike(self, fault: str) -> None:
        if fault == "drop":
            self._server.drop()
        elif fault == "misframe":
            self._cut_next = True
        elif fault == "close":
            self.why_over = "the fault close"

    def _apply_lasting_faults(self) -> None:
        """Brings window, map and menu to where the faults want them, or back."""
        if "window" in self._faults:
            self._window.close()
        else:
            self._window.open()
        self._window.stubborn = "stubborn" in self._faults
        if self._elsewhere != ("map" in self._faults):
            self._elsewhere = not self._elsewhere
            self._race.load(self._other_track() if self._elsewhere else self._options.track)
        in_menu = self._race.state is RaceState.MENU
        if in_menu != ("menu" in self._faults):
            if in_menu:
                self._race.restart()
            else:
                self._race.open_menu()

    def _other_track(self) -> str:
        """Returns the track that follows ours in the catalogue."""
        ours = self._options.track
        place = TRACK_NAMES.index(ours) + 1 if ours in TRACK_NAMES else 0
        return TRACK_NAMES[place % len(TRACK_NAMES)]

    def _controls(self) -> tuple[Pad, int]:
        """Takes gamepad and keys; returns what the player holds, and the buttons pressed meanwhile."""
        buttons = self._pad.poll()
        keys, closed = self._window.pump()
        if closed:
            self.why_over = "its window was closed"
        if "freeze" in self._faults:
            return Pad(), 0
        pad = self._pad.pad
        if "deaf" in self._faults:
            buttons, pad = 0, Pad()
        if "BackSpace" in keys:
            buttons |= B_BUTTON
        return (self._window.held() if self._window.keys else pad), buttons

    def _show_frame(self) -> None:
        """Sends the message and draws the picture that belong together."""
        self._frames += 1
        message = self._race.telemetry()
        if message is not None and "stall" not in self._faults:
            data = pack(message)
            if self._cut_next and self._server.clients:
                data, self._cut_next = data[:-1], False
            self._server.send(data)
        if self._window.is_open:
            self._race.paint(self._window.picture)
            self._window.show()


def _span(seconds: object) -> float | None:
    """Returns how long a fault shall hold, in seconds, as control was asked."""
    if seconds is None:
        return None
    if not isinstance(seconds, int | float) or not 0.0 <= seconds < math.inf:
        raise ConfigError(
            f"A fault cannot hold for {seconds!r} seconds.",
            "it takes a number from 0 up, or none for until it is healed",
            "--seconds 5",
        )
    return float(seconds)
