"""The simulated game as a Gymnasium environment: 20 Hz, grey pictures, progress reward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from actors.progress import ProgressReward
from actors.sim.camera import Camera
from actors.sim.car import Car
from actors.sim.catalogue import load_track
from actors.sim.physics import ELEVATION, GEAR, HEADING, OFFSET, POS_X, POS_Y, RPM
from common.errors import ConfigError

Observation: TypeAlias = dict[str, NDArray[Any]]

TICKS_PER_STEP = 3
STEP_S = 0.05
RENDER_WIDTH, RENDER_HEIGHT = 640, 360
SLOWEST_MPS = 8.0
JITTER_M, JITTER_RAD, JITTER_MPS = 2.0, math.radians(4.0), 5.0
SMALLEST_IMAGE = 16

COAST, GAS, GAS_LEFT, GAS_RIGHT = (
    (0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0),
    (1.0, 0.0, -1.0),
    (1.0, 0.0, 1.0),
)
DEFAULT_ACTIONS: tuple[tuple[float, float, float], ...] = (
    COAST,
    GAS,
    GAS_LEFT,
    GAS_RIGHT,
    (0.0, 0.0, -1.0),
    (0.0, 0.0, 1.0),
    (0.0, 0.0, -0.3),
    (0.0, 0.0, 0.3),
    (0.0, 1.0, 0.0),
    (1.0, 1.0, -1.0),
    (1.0, 1.0, 1.0),
)


class SimEnv(gym.Env[Observation, np.int64]):
    """Drive one simulated car from the start of a track to its finish.

    An observation is ``image``: the last ``history`` grey camera pictures, newest last, and
    ``features``: raw telemetry, speed in m/s, gear, engine rpm. An action is a row of the action table.
    The episode terminates at the finish, stuck, or off the track, and is truncated at ``max_steps``.
    The same seed and actions give the same bits.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 (Gymnasium's own shape)

    def __init__(
        self,
        *,
        track: str = "first-lap",
        action_table: Sequence[tuple[float, float, float]] = DEFAULT_ACTIONS,
        image_size: int = 64,
        history: int = 4,
        max_steps: int | None = None,
        start_jitter: float = 1.0,
        stuck_steps: int = 20,
        grace_steps: int = 40,
        off_track_m: float = 20.0,
        delay_ticks: int = 0,
        finish_bonus: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        """Builds the track, the car and the camera.

        Args:
            track: a named track, or ``generated:<seed>``.
            action_table: rows of gas (0 to 1), brake (0 to 1), steer (-1 left to 1 right).
            image_size: width and height of a picture in pixels.
            history: pictures in a stack.
            max_steps: steps after which the episode is truncated; by default the steps that the
                track takes at 8 m/s.
            start_jitter: scale of the random start: 1.0 draws up to 2 m to either side, up to 4
                degrees of heading and up to 5 m/s; 0.0 always starts the same.
            stuck_steps: steps without progress after which the episode terminates.
            grace_steps: first steps of an episode, in which nothing counts as stuck.
            off_track_m: distance from the centre line beyond which the episode terminates.
            delay_ticks: sixtieths of a second (0 to 3) for which the car goes on with the action before, as
                in a game whose picture is taken before the policy thinks.
            finish_bonus: reward added at the finish.
            render_mode: ``rgb_array`` or None.

        Raises:
            ConfigError: the track, the action table or the render mode does not exist.
        """
        self.track = load_track(track)
        self._actions = _checked_actions(action_table)
        _check_counts(image_size=image_size, history=history, max_steps=max_steps)
        _check_delay(delay_ticks)
        _check_render_mode(render_mode)
        self.render_mode = render_mode
        self.car = Car(self.track)
        self._camera = Camera(self.track, image_size, image_size)
        self._film: Camera | None = None
        self._progress = ProgressReward(
            self.track.reward_line, failure_countdown=stuck_steps - 1, min_steps=grace_steps
        )
        self._max_steps = max_steps or math.ceil(self.track.length_m / (SLOWEST_MPS * STEP_S))
        self._start_jitter = start_jitter
        self._off_track_m = off_track_m
        self._delay_ticks = delay_ticks
        self._controls = COAST
        self._finish_bonus = finish_bonus
        self._steps = 0
        self._stack = np.zeros((history, image_size, image_size), dtype=np.uint8)
        self.action_space = spaces.Discrete(len(self._actions))
        observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, self._stack.shape, np.uint8),
                "features": spaces.Box(-np.inf, np.inf, (3,), np.float32),
            }
        )
        self.observation_space = cast("spaces.Space[Observation]", observation_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Put the car at the start; the stack holds copies of the first picture.

        Args:
            seed: seeds the random start; None goes on with the generator.
            options: none are known.
        """
        super().reset(seed=seed, options=options)
        lateral, turn, speed = self.np_random.random(3)
        self.car.place(
            lateral_m=self._start_jitter * JITTER_M * (2.0 * lateral - 1.0),
            heading_offset_rad=self._start_jitter * JITTER_RAD * (2.0 * turn - 1.0),
            speed_mps=self._start_jitter * JITTER_MPS * speed,
        )
        self._progress.reset()
        self._steps = 0
        self._controls = COAST
        frame = np.empty(self._stack.shape[1:], dtype=np.uint8)
        self._camera.paint(self.car.state, frame)
        self._stack = np.repeat(frame[None], len(self._stack), axis=0)
        return self._observation(), self._info()

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Drive 0.05 s with a row of the action table.

        Args:
            action: index of the row.
        """
        before, self._controls = self._controls, self._actions[action]
        for controls, ticks in (
            (before, self._delay_ticks),
            (self._controls, TICKS_PER_STEP - self._delay_ticks),
        ):
            if ticks:
                self.car.drive(controls, ticks)
        self._steps += 1
        state = self.car.state
        reward = self._progress.advance((state[POS_X], state[POS_Y], state[ELEVATION]))
        stack = np.empty_like(self._stack)
        stack[:-1] = self._stack[1:]
        self._camera.paint(state, stack[-1])
        self._stack = stack
        reason = self._end_reason()
        if reason == "finish":
            reward += self._finish_bonus
        info = self._info()
        if reason is not None:
            info["end_reason"] = reason
        truncated = reason == "time_limit"
        return self._observation(), reward, reason is not None and not truncated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """The camera's picture in colour, uint8 (360, 640, 3); None without ``rgb_array``."""
        if self.render_mode is None:
            return None
        if self._film is None:
            self._film = Camera(self.track, RENDER_WIDTH, RENDER_HEIGHT, colour=True)
        picture = np.empty((RENDER_HEIGHT, RENDER_WIDTH, 3), dtype=np.uint8)
        self._film.paint(self.car.state, picture)
        return picture

    def _end_reason(self) -> str | None:
        """Why the episode ends with this step, or None; what the task decides beats the clock."""
        if self.car.finished:
            return "finish"
        if abs(self.car.state[OFFSET]) > self._off_track_m:
            return "off_track"
        if self._progress.stuck:
            return "stuck"
        return "time_limit" if self._steps >= self._max_steps else None

    def _observation(self) -> Observation:
        state = self.car.state
        features = np.array([self.car.speed_mps, state[GEAR], state[RPM]], dtype=np.float32)
        return {"image": self._stack.copy(), "features": features}

    def _info(self) -> dict[str, Any]:
        car, state = self.car, self.car.state
        splits = car.split_times_ms
        return {
            "finished": car.finished,
            "lap_time_ms": car.lap_time_ms,
            "progress_m": self._progress.furthest_m,
            "speed_mps": car.speed_mps,
            "position": (float(state[POS_X]), float(state[POS_Y])),
            "heading_rad": float(state[HEADING]),
            "checkpoints_passed": len(splits),
            "split_times_ms": splits,
        }


def _checked_actions(
    table: Sequence[tuple[float, float, float]],
) -> tuple[tuple[float, float, float], ...]:
    """The table as floats, refused where a control is out of range."""
    rows = tuple((float(gas), float(brake), float(steer)) for gas, brake, steer in table)
    for index, (gas, brake, steer) in enumerate(rows):
        if not (0.0 <= gas <= 1.0 and 0.0 <= brake <= 1.0 and -1.0 <= steer <= 1.0):
            raise ConfigError(
                what=f"action {index} is gas {gas}, brake {brake}, steer {steer}",
                why="gas and brake lie in [0, 1], steer in [-1, 1]",
                fix="correct that row of the action table",
            )
    if not rows:
        raise ConfigError(
            what="an empty action table", why="there is nothing to choose", fix="give it a row"
        )
    return rows


def _check_counts(*, image_size: int, history: int, max_steps: int | None) -> None:
    """Refuse sizes and limits that no episode could have."""
    least = {"image_size": SMALLEST_IMAGE, "history": 1, "max_steps": 1}
    given = {"image_size": image_size, "history": history, "max_steps": max_steps}
    for name, value in given.items():
        if value is not None and value < least[name]:
            raise ConfigError(
                what=f"{name} is {value}",
                why=f"it must be at least {least[name]}",
                fix=f"{name}={least[name]} or more",
            )


def _check_delay(delay_ticks: int) -> None:
    if not 0 <= delay_ticks <= TICKS_PER_STEP:
        raise ConfigError(
            what=f"delay_ticks is {delay_ticks}",
            why=f"a step has {TICKS_PER_STEP} ticks, so the action comes 0 to {TICKS_PER_STEP} late",
            fix="delay_ticks=2",
        )


def _check_render_mode(render_mode: str | None) -> None:
    if render_mode not in {None, "rgb_array"}:
        raise ConfigError(
            what=f"render mode {render_mode!r}",
            why="the simulated game renders to arrays only",
            fix="render_mode='rgb_array'",
        )
