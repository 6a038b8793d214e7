"""The race that the stand-in simulates: its rules, its car, its telemetry and its picture. No window.

menu       nothing is sent; a picture that moves
countdown  the car stands at the start for 1.5 s
racing     the clock runs
finished   the car rolls out and the finish flag stays up, until a restart
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from actors.sim.camera import Camera
from actors.sim.car import Car
from actors.sim.catalogue import load_track
from actors.sim.physics import ELEVATION, GEAR, POS_X, POS_Y, RPM, TICK_S
from actors.sim.pilot import Pilot
from actors.standin.map_place import map_place
from actors.standin.menu_picture import paint_menu, paint_pop_up
from actors.standin.pad import A_BUTTON, B_BUTTON, Pad
from actors.trackmania.telemetry import Telemetry

COUNTDOWN_TICKS = 90
_ROLL_OUT = Pad(brake=0.5)
_NEXT_LAP_TICKS = 120

Pixels = NDArray[np.uint8]


class RaceState(StrEnum):
    """Where the game is."""

    MENU = "menu"
    COUNTDOWN = "countdown"
    RACING = "racing"
    FINISHED = "finished"


class Race:
    """One player on one map.

    Attributes:
        state: where the game is.
        restarts: how often the race was begun again.
        distance_m: driven since the race began.
        autopilot: whether the car drives itself, lap after lap.
    """

    def __init__(self, track: str, *, autopilot: bool = False) -> None:
        """Loads the map and begins a race.

        Args:
            track: name of the catalogue, or ``generated:<seed>``.
            autopilot: whether the car drives itself.

        Raises:
            ConfigError: there is no such track.
        """
        self.autopilot = autopilot
        self.restarts = 0
        self._camera: Camera | None = None
        self._camera_size = (0, 0)
        self.load(track)

    def load(self, track: str) -> None:
        """Switches to another map and begins a race there.

        Args:
            track: name of the catalogue, or ``generated:<seed>``.
        """
        self.track = load_track(track)
        self.car = Car(self.track)
        # A new installation compiles the physics here, and not in the middle of a race.
        Car(self.track).drive((0.0, 0.0, 0.0))
        self._pilot = Pilot(self.car)
        self._place = map_place(self.track)
        self._camera = None
        self._begin()

    def restart(self) -> None:
        """Puts the car back to the start, with the countdown before it."""
        self.restarts += 1
        self._begin()

    def open_menu(self) -> None:
        """Leaves the race for the menu; ``restart`` comes back."""
        self.state = RaceState.MENU
        self._ticks = 0

    def press(self, buttons: int) -> None:
        """Takes buttons that were pressed.

        Args:
            buttons: their bits.
        """
        if self.state is RaceState.MENU:
            return
        if buttons & B_BUTTON:
            self.restart()
        elif buttons & A_BUTTON:
            self._pop_up = False

    def tick(self, pad: Pad) -> None:
        """Lets a sixtieth of a second pass.

        Args:
            pad: what the player holds.
        """
        self._ticks += 1
        if self.autopilot and self.state is not RaceState.MENU:
            pad = self._piloted()
        self._pad = pad
        if self.state is RaceState.COUNTDOWN and self._ticks > COUNTDOWN_TICKS:
            self.state = RaceState.RACING
        if self.state is RaceState.RACING:
            self._drive(pad)
            if self.car.finished:
                self.state, self._ticks, self._pop_up = RaceState.FINISHED, 0, True
        elif self.state is RaceState.FINISHED:
            self._drive(_ROLL_OUT if self.car.speed_mps > 1.0 else Pad())

    def telemetry(self) -> Telemetry | None:
        """Returns what the plugin would send now, None in the menu."""
        if self.state is RaceState.MENU:
            return None
        state, (x, y, z) = self.car.state, self._place
        return Telemetry(
            speed_mps=self.car.speed_mps,
            distance_m=self.distance_m,
            x=x + float(state[POS_X]),
            y=y + float(state[ELEVATION]),
            z=z + float(state[POS_Y]),
            steer=self._pad.steer,
            gas=self._pad.gas,
            brake=float(self._pad.brake > 0.0),
            finished=float(self.state is RaceState.FINISHED),
            gear=float(state[GEAR]),
            rpm=float(state[RPM]),
        )

    def paint(self, picture: Pixels) -> None:
        """Paints what the player sees.

        Args:
            picture: uint8 (height, width, 3), red first; filled.
        """
        if self.state is RaceState.MENU:
            paint_menu(picture, self._ticks)
            return
        height, width = picture.shape[:2]
        if self._camera is None or self._camera_size != (width, height):
            self._camera = Camera(self.track, width, height, colour=True)
            self._camera_size = (width, height)
        self._camera.paint(self.car.state, picture)
        if self._pop_up:
            paint_pop_up(picture)

    def _begin(self) -> None:
        self.car.place()
        self.state = RaceState.COUNTDOWN
        self.distance_m = 0.0
        self._ticks = 0
        self._pad = Pad()
        self._pop_up = False

    def _drive(self, pad: Pad) -> None:
        self.car.drive((pad.gas, pad.brake, pad.steer))
        self.distance_m += self.car.speed_mps * TICK_S

    def _piloted(self) -> Pad:
        """Returns what the autopilot holds; it begins the next lap two seconds after the finish."""
        if self.state is RaceState.FINISHED and self._ticks > _NEXT_LAP_TICKS:
            self.restart()
        return Pad(*self._pilot.controls())
