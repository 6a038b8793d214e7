"""TrackMania 2020, or its stand-in, as a game of ours: tmrl behind supervision.

A step either returns within its time or raises, at most two seconds after something broke: telemetry that
closed, stalled or lost its framing, a window that is gone, a tmrl that raised, hung or died. Whatever it
was, the env child is killed at once and the next one starts while the game comes back.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import structlog
from gymnasium import spaces

from actors.game_contract import GameFaultError, GameNotReadyError, Observation
from actors.progress import compile_progress
from actors.trackmania.child_pipe import Message
from actors.trackmania.env_process import EnvProcess
from actors.trackmania.game_host import GameHost
from actors.trackmania.game_trouble import TROUBLES
from actors.trackmania.lap_clock import LapClock
from actors.trackmania.reward_line import RewardLine, nearest_line
from actors.trackmania.tee import BROKEN, FLOWING, TelemetryTee
from actors.trackmania.telemetry import Telemetry
from actors.trackmania.telemetry_watch import CAUSES, TelemetryWatch
from actors.trackmania.tmrl_reward import FINISH
from actors.trackmania.window_guard import WindowGuard
from actors.trackmania.window_watch import DisplayLostError, WindowWatch
from common.errors import ApexManiaError, MachineError
from common.game_config import GameConfig

STARTING = "starting"
_N_FEATURES = 3
_WAIT_S = 1.0
_LOOK_S = 0.05
_STEP_SLACK_S = 1.7
_RESET_SLACK_S = 5.0
_LINE_S = 5.0
_NAME_S = 1.0
_RESTARTED_M = 5.0
_PERMANENT = frozenset({"tmrl_missing", "gamepad_missing"})
_log = structlog.get_logger()


class TrackmaniaEnv(gymnasium.Env[Any, Any]):
    """Drives the game of a host through tmrl.

    The constructor starts nothing; the first ``reset`` does.

    Args:
        config: what is shown, the actions and the link.
        lines: the known reward lines; where the car starts decides.
        host: runs the game.
        line_hash: SHA-256 of what the lines are, for the run's contract.
        render_mode: ``rgb_array`` or None.

    Attributes:
        restarts: env children and games that were started anew.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - Gymnasium's own shape

    def __init__(
        self,
        config: GameConfig,
        *,
        lines: Sequence[RewardLine],
        host: GameHost,
        line_hash: str,
        render_mode: str | None = None,
    ) -> None:
        self.metadata = {
            **type(self).metadata,
            "real_time": True,
            "step_s": config.trackmania.step_s,
            "reward_line": line_hash,
        }
        self.render_mode = render_mode
        self.host = host
        self.restarts = 0
        self._config = config
        self._link = config.trackmania
        self._lines = lines
        self._shape = (config.history, config.image_size, config.image_size)
        self._clock = LapClock(countdown_s=self._link.countdown_s)
        self._watch = TelemetryWatch()
        self._tee: TelemetryTee | None = None
        self._place: tuple[int, str | None] = (0, None)
        self._guard: WindowGuard | None = None
        self._camera: WindowWatch | None = None
        self._child: EnvProcess | None = None
        self._line: RewardLine | None = None
        self._troubled_since_s: float | None = None
        self._window_placed = False
        self._driven = False
        self._broken_by = ""
        self.action_space = spaces.Discrete(len(config.actions))
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, self._shape, np.uint8),
                "features": spaces.Box(-np.inf, np.inf, (_N_FEATURES,), np.float32),
            }
        )

    @property
    def child_pid(self) -> int:
        """Process id of the env child that drives."""
        assert self._child is not None, "reset() comes first"
        return self._child.pid

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Restarts the race, with a new env child where the last one was lost.

        Raises:
            GameNotReadyError: the game is not to be driven within a second; ask again.
            GameFaultError: something broke on the way; ask again.
            MachineError: tmrl or the virtual gamepad is not installed, which no new attempt changes; told
                only before the first attempt, since afterwards they were.
        """
        super().reset(seed=seed, options=options)
        if self._broken_by:
            self._mend(self._broken_by)
            self._broken_by = ""
        child = self._connected()
        tee = self._healthy(child)
        try:
            reply = self._restart(child, tee)
            self._take_line(child, tee)
        except GameNotReadyError:
            raise
        except GameFaultError as fault:
            raise self._broken(fault) from fault
        self._clock.restarted(float(reply["pressed_s"]))
        self._watch.begin_race()
        self._troubled_since_s = None
        self._driven = True
        return self._observation(reply), {}

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Does one env step in the game's own time.

        Raises:
            GameFaultError: something broke; the episode is over.
        """
        child, tee = self._child, self._tee
        assert child is not None, "reset() comes first"
        assert tee is not None
        controls = self._config.actions[int(action)]
        try:
            self._check(child, tee)
            child.send({"kind": "step", "controls": controls})
            reply = self._answer(child, tee, within_s=self._link.step_s + _STEP_SLACK_S)
            self._judge(reply, controls, tee)
        except GameFaultError as fault:
            raise self._broken(fault) from fault
        return (
            self._observation(reply),
            float(reply["reward"]),
            bool(reply["terminated"]),
            bool(reply["truncated"]),
            self._info(reply),
        )

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Returns the game's window as it is on the screen, uint8 (height, width, 3).

        None where it is not to be seen: what broke is for the next ``step`` to tell and to mend.
        """
        if self.render_mode is None:
            return None
        try:
            if self._camera is None:
                self._camera = WindowWatch(display=self.host.display)
            return self._camera.grab()
        except DisplayLostError:
            camera, self._camera = self._camera, None
            if camera is not None:
                camera.close()
            return None

    def close(self) -> None:
        """Ends the env child, and the game where it is ours."""
        self._leave_child()
        self._disconnect()
        self.host.close()

    def _connected(self) -> EnvProcess:
        """Returns an env child, perhaps still starting, beside a game that was asked to start."""
        if self._child is None:
            self._child = EnvProcess(self._config)
        self.host.start()
        place = (self.host.telemetry_port, self.host.display)
        if self._place != place or not self._listening():
            self._disconnect()
            if self._window_placed:  # it holds on to the tee and the screen that were
                self._renew_child()
            compile_progress()
            self._place = place
            self._tee = TelemetryTee(self.host.telemetry_port, listener=self._hear)
            self._guard = WindowGuard(self.host.display)
        assert self._child is not None
        return self._child

    def _listening(self) -> bool:
        """Returns whether tee and guard are there, and neither ended by an error of its own."""
        tee, guard = self._tee, self._guard
        return tee is not None and guard is not None and tee.state != BROKEN and guard.alive

    def _hear(self, message: Telemetry, arrived_s: float) -> None:
        """Takes a message in the tee's thread."""
        self._clock.feed(message, arrived_s)
        self._watch.feed(message, arrived_s)

    def _healthy(self, child: EnvProcess) -> TelemetryTee:
        """Waits a moment until all is as it should be, and returns the tee."""
        tee, guard = self._tee, self._guard
        assert tee is not None
        assert guard is not None
        until_s = time.monotonic() + _WAIT_S
        while True:
            try:
                child.check()
            except GameFaultError as fault:
                raise self._broken(fault) from fault
            state, seen = tee.state, guard.trouble
            # What is on a lost screen is lost too, so that is the name.
            cause = seen if state == FLOWING or seen == "display_lost" else CAUSES[state]
            if cause is None and child.ready:
                self._watch.begin(tee)
                return tee
            if time.monotonic() > until_s:
                break
            time.sleep(_LOOK_S)
        raise self._refusal(cause or STARTING, f"telemetry is {state} for {tee.since_s:.1f} s")

    def _restart(self, child: EnvProcess, tee: TelemetryTee) -> Message:
        """Has tmrl restart the race."""
        child.send(
            {
                "kind": "reset",
                "telemetry_port": tee.port,
                "environment": dict(self.host.environment()),
            }
        )
        reply = self._answer(child, tee, within_s=self._link.reset_sleep_s + _RESET_SLACK_S)
        self._window_placed = True
        self._check_window_size()
        return reply

    def _take_line(self, child: EnvProcess, tee: TelemetryTee) -> None:
        """Finds the reward line that begins where the car stands."""
        assert tee.latest is not None
        car = tee.latest[0]
        line = nearest_line(self._lines, (car.x, car.y, car.z))
        if line is None:
            self._line = None
            where = f"the car stands at ({car.x:.0f}, {car.y:.0f}, {car.z:.0f})"
            restarted = car.distance_m < _RESTARTED_M
            raise self._refusal("other_map" if restarted else "inputs_dead", where)
        if line is not self._line:
            self._clock.follow(line)
            self._send_line(child, tee, line)
            self._line = line

    def _send_line(self, child: EnvProcess, tee: TelemetryTee, line: RewardLine) -> None:
        """Hands a line over by a file: it is longer than what a pipe holds while nobody reads."""
        with tempfile.TemporaryDirectory(prefix="apexmania-line-") as folder:
            path = Path(folder) / "line.npy"
            np.save(path, line.points, allow_pickle=False)
            child.send({"kind": "line", "path": str(path)})
            self._answer(child, tee, within_s=_LINE_S)

    def _answer(self, child: EnvProcess, tee: TelemetryTee, *, within_s: float) -> Message:
        """Waits for the child's answer, and looks at everything else meanwhile."""
        looks = round(within_s / _LOOK_S)
        for _ in range(looks):
            reply = child.reply(_LOOK_S)
            if reply is not None:
                return reply
            self._check(child, tee)
        raise GameFaultError("child_hung", f"no answer within {within_s:.1f} s")

    def _check(self, child: EnvProcess, tee: TelemetryTee) -> None:
        """Sees that child, telemetry and window are well.

        Raises:
            GameFaultError: one is not.
        """
        child.check()
        self._watch.check(tee)
        assert self._guard is not None
        if self._guard.trouble is not None:
            raise GameFaultError(self._guard.trouble, "it was there before")

    def _judge(self, reply: Message, controls: Sequence[float], tee: TelemetryTee) -> None:
        """Sees that the car drove as it was told, and that a finish is one of this race.

        Raises:
            GameFaultError: it is not so.
        """
        if not reply["end"]:
            self._watch.check_race(controls, tee)
        elif reply["end"] == FINISH and self._clock.lap_time_ms is None:
            raise GameFaultError("inputs_dead", "the finish is still that of the race before")

    def _check_window_size(self) -> None:
        """Sees that the window took its size; on Windows tmrl photographs whatever size it has."""
        assert self._guard is not None
        facts = self._guard.facts
        wanted = (self._link.window_width, self._link.window_height)
        if facts is None or (facts.width, facts.height) == wanted:
            return
        detail = f"it is {facts.width}x{facts.height} and not {wanted[0]}x{wanted[1]}"
        if sys.platform != "win32":
            raise GameFaultError("window_size", detail)
        _log.warning("window_size", detail=detail)

    def _refusal(self, cause: str, detail: str) -> GameNotReadyError:
        """Returns why there is no episode to be had yet; lasting trouble is mended where it can be."""
        if cause != STARTING:
            self._mend(cause)
        return GameNotReadyError(cause, detail)

    def _broken(self, fault: GameFaultError) -> ApexManiaError | GameFaultError:
        """Ends the env child, starts the next one, and returns what to raise.

        The next child imports tmrl while the game comes back and somebody asks for the next attempt.
        """
        if fault.cause in _PERMANENT and not self._driven:
            self._leave_child()
            trouble = TROUBLES[fault.cause]
            return MachineError(trouble.meaning, fault.detail, trouble.fix)
        self._renew_child()
        named = self._named(fault)
        self._broken_by = named.cause
        return named

    def _named(self, fault: GameFaultError) -> GameFaultError:
        """Returns the fault under its own name where tmrl raised because of a screen or window."""
        if fault.cause != "tmrl_raised" or self._guard is None:
            return fault
        cause = self._guard.look(within_s=_NAME_S)
        return fault if cause is None else GameFaultError(cause, fault.detail)

    def _mend(self, cause: str) -> None:
        """Has the host mend what it can."""
        now_s = time.monotonic()
        if self._troubled_since_s is None:
            self._troubled_since_s = now_s
        if not self.host.mend(cause, lasting_s=now_s - self._troubled_since_s):
            return
        self.restarts += 1
        if self._window_placed:  # tmrl gives a window its size once, and the new game has a new one
            self._renew_child()

    def _renew_child(self) -> None:
        """Ends the env child and starts the next one."""
        self._leave_child()
        self._child = EnvProcess(self._config)
        self.restarts += 1

    def _leave_child(self) -> None:
        child, self._child = self._child, None
        self._line = None
        self._window_placed = False
        if child is not None:
            child.kill()

    def _disconnect(self) -> None:
        """Gives up every connection to the game."""
        for part in (self._tee, self._guard, self._camera):
            if part is not None:
                part.close()
        self._tee = self._guard = self._camera = None

    def _observation(self, reply: Message) -> Observation:
        image = np.frombuffer(reply["image"], dtype=np.uint8).reshape(self._shape).copy()
        return {"image": image, "features": np.array(reply["features"], dtype=np.float32)}

    def _info(self, reply: Message) -> dict[str, Any]:
        finished = reply["end"] == FINISH
        info: dict[str, Any] = {
            "finished": finished,
            "lap_time_ms": self._clock.lap_time_ms if finished else None,
            "split_times_ms": self._clock.split_times_ms,
            "progress_m": float(reply["progress_m"]),
            "speed_mps": float(reply["features"][0]),
            "position": tuple(reply["position"]),
        }
        if reply["end"]:
            info["end_reason"] = reply["end"]
        return info
