"""A private display with a stand-in game on it: what tests, the doctor and an actor without the game use."""

import json
import os
import select
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from actors.standin.control import StandInControl
from actors.standin.faults import parse_fault
from actors.standin.pad import PORT_VARIABLE
from actors.standin.tied_process import TiedProcess
from actors.standin.virtual_display import VirtualDisplay
from common.errors import ConfigError, MachineError

_READY_TIMEOUT_S = 180.0
"""The first start on a machine compiles the simulation, which takes a while."""
_AGAIN_TIMEOUT_S = 60.0
_PATIENCE_S = 2.0
_ROOT = Path(__file__).parents[2]


class StandInRig:
    """One stand-in on one private display; everything ends with the process that made it.

    Attributes:
        telemetry_port: TCP port of the telemetry, the same after every restart of the game.
        pad_port: UDP port of the gamepad, likewise.
        control: switches of the running game.
    """

    def __init__(
        self,
        track: str,
        *,
        folder: Path,
        faults: Sequence[str] = (),
        autopilot: bool = False,
        fps: int = 60,
    ) -> None:
        """Prepares it; ``start`` starts it.

        Args:
            track: name of the catalogue, or ``generated:<seed>``.
            folder: takes the logs of display and game; is made.
            faults: those that come by themselves, as ``NAME[@AFTER_S[+FOR_S]]``.
            autopilot: whether the car drives itself, lap after lap.
            fps: pictures and messages a second.

        Raises:
            ConfigError: one of ``faults`` is none.
        """
        planned = [str(parse_fault(fault)) for fault in faults]
        self._words = ["--track", track, "--fps", str(fps)]
        self._words += [word for fault in planned for word in ("--fault", fault)]
        self._words += ["--autopilot"] if autopilot else []
        self._folder = folder
        self._screen = VirtualDisplay(log=folder / "xvfb.log")
        self._game: TiedProcess | None = None
        self.telemetry_port = 0
        self.pad_port = 0
        self.control = StandInControl(0)

    @property
    def display(self) -> str:
        """The X display, such as ``:7``."""
        return self._screen.name

    @property
    def display_alive(self) -> bool:
        """Whether the X server runs."""
        return self._screen.alive

    def display_answers(self, *, within_s: float) -> bool:
        """Returns whether the X server runs and takes clients; one that is stopped does not."""
        return self._screen.answers(within_s=within_s)

    @property
    def game_alive(self) -> bool:
        """Whether the game's process runs, even where it is frozen."""
        return self._game is not None and self._game.alive

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of display and game, as far as they were started."""
        game = None if self._game is None else self._game.pid
        return tuple(pid for pid in (self._screen.pid, game) if pid is not None)

    def start(self) -> None:
        """Starts the display and the game, and waits until both are ready.

        Raises:
            ConfigError: there is no such track.
            MachineError: Xvfb is missing, or one of both does not come up.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._screen.start()
            self._start_game()
        except BaseException:
            self.stop()
            raise

    def restart_game(self, *, patience_s: float = _PATIENCE_S) -> None:
        """Ends the game and starts it anew on the same display and ports.

        Args:
            patience_s: seconds it may take to end by itself.

        Raises:
            MachineError: it does not come up, for instance because the display is gone.
        """
        if not self._screen.alive:
            raise MachineError(
                f"The private display {self.display} of the stand-in is gone.",
                "its X server ended, and its number may be somebody else's by now",
                f"stop the rig and start it anew; {self._folder / 'xvfb.log'} may say more",
            )
        self._stop_game(patience_s)
        self._start_game()

    def environment(self) -> dict[str, str]:
        """Returns what the process that plays needs in its environment."""
        return {"DISPLAY": self.display, PORT_VARIABLE: str(self.pad_port)}

    def stop(self, *, patience_s: float = _PATIENCE_S) -> None:
        """Ends the game, then the display.

        Args:
            patience_s: seconds that each may take to end by itself.
        """
        self._stop_game(patience_s)
        self._screen.stop(patience_s=patience_s)

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self.stop()

    def _stop_game(self, patience_s: float = _PATIENCE_S) -> None:
        if self._game is not None:
            self._game.stop(patience_s=patience_s)
        self._game = None

    def _start_game(self) -> None:
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        log = self._folder / "standin.log"
        ports = {
            "--port": self.telemetry_port,
            "--pad-port": self.pad_port,
            "--control-port": self.control.port,
        }
        words = [word for name, port in ports.items() for word in (name, str(port))]
        self._game = TiedProcess(
            [sys.executable, "-m", "actors.standin.program", *self._words, *words],
            log=log,
            environment={**os.environ, "DISPLAY": self.display, "PYTHONPATH": path},
        )
        again = self.telemetry_port != 0
        facts = _first_line(self._game, log, _AGAIN_TIMEOUT_S if again else _READY_TIMEOUT_S)
        self.telemetry_port = int(facts["port"])
        self.pad_port = int(facts["pad_port"])
        self.control = StandInControl(int(facts["control_port"]))


def _first_line(game: TiedProcess, log: Path, within_s: float) -> dict[str, Any]:
    """Returns what the game prints when it is ready."""
    line = b""
    deadline = time.monotonic() + within_s
    while not line.endswith(b"\n"):
        left_s = deadline - time.monotonic()
        ready = left_s > 0 and select.select([game.output], [], [], left_s)[0]
        part = os.read(game.output.fileno(), 65536) if ready else b""
        if not part:
            raise MachineError(
                "The stand-in did not start.",
                f"exit code {game.exit_code}" if ready else f"silent for {within_s:.0f} s",
                f"read {log}",
            )
        line += part
    facts: dict[str, Any] = json.loads(line)
    if "error" in facts:
        kind = ConfigError if facts["exit_code"] == ConfigError.exit_code else MachineError
        raise kind(*facts["error"])
    return facts
