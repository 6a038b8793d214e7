"""Small real games for tests, reachable as ``tests.support.tiny_games:<factory>``."""

import time
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

HISTORY, HEIGHT, WIDTH = 2, 6, 5


class Corridor(gymnasium.Env[Any, Any]):
    """Walk ``length`` cells to the right; each cell is one frame of its own.

    Action 1 goes on (reward 1), action 0 stays (reward 0). The end is a finish with a lap time of 50 ms a
    step. ``fault_at`` makes the step of that number in each episode raise.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        *,
        length: int = 10,
        n_features: int = 1,
        fault_at: int = 0,
        stuck_after: int = 0,
        render_mode: str | None = None,
    ) -> None:
        self.length = length
        self.n_features = n_features
        self.fault_at = fault_at
        self.stuck_after = stuck_after
        self.render_mode = render_mode
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (HISTORY, HEIGHT, WIDTH), np.uint8),
                "features": spaces.Box(-np.inf, np.inf, (n_features,), np.float32),
            }
        )
        self.action_space = spaces.Discrete(2)
        self._image = np.zeros((HISTORY, HEIGHT, WIDTH), np.uint8)
        self.cell = 0
        self.steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.cell = self.steps = 0
        self._image = np.repeat(self._frame()[None], HISTORY, axis=0)
        return self._observation(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps == self.fault_at:
            raise ConnectionResetError("the game went away")
        self.cell += int(action)
        self._image = np.concatenate([self._image[1:], self._frame()[None]])
        finished = self.cell >= self.length
        stuck = bool(self.stuck_after) and self.steps >= self.stuck_after and not finished
        info: dict[str, Any] = {"progress_m": float(self.cell), "finished": finished}
        if finished:
            info["lap_time_ms"] = 50.0 * self.steps
        if finished or stuck:
            info["end_reason"] = "finish" if finished else "stuck"
        return self._observation(), float(action), finished or stuck, False, info

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        return np.full((90, 160, 3), 40 + self.cell, np.uint8)

    def _frame(self) -> np.ndarray:
        frame = np.zeros((HEIGHT, WIDTH), np.uint8)
        frame.flat[self.cell % frame.size] = 255
        frame[0, 0] = self.steps % 256
        return frame

    def _observation(self) -> dict[str, np.ndarray]:
        features = np.full(self.n_features, self.cell, np.float32)
        return {"image": self._image.copy(), "features": features}


def corridor(*, render_mode: str | None = None, **options: Any) -> Corridor:
    return Corridor(render_mode=render_mode, **options)


class RealTimeCorridor(Corridor):
    """A corridor that claims not to wait for anybody."""

    metadata: ClassVar[dict[str, Any]] = {**Corridor.metadata, "real_time": True, "step_s": 0.001}


class SlowCorridor(Corridor):
    """Takes five milliseconds for each step, and waits for its driver."""

    def step(self, action: int) -> Any:
        time.sleep(0.005)
        return super().step(action)


def slow(**options: Any) -> SlowCorridor:
    return SlowCorridor(**options)


class PacedCorridor(RealTimeCorridor):
    """Takes its time for each step, as a real game does."""

    def step(self, action: int) -> Any:
        time.sleep(0.005)
        return super().step(action)


def paced(**options: Any) -> PacedCorridor:
    return PacedCorridor(**options)


class Unseen(Corridor):
    """A corridor that leaves ``render`` to ``gymnasium.Env``, as most games of one's own do."""

    render = gymnasium.Env.render


def unseen() -> Corridor:
    return Unseen()


def featureless() -> Corridor:
    return Corridor(n_features=0)


def real_time(**options: Any) -> Corridor:
    return RealTimeCorridor(**options)


class _Odd(Corridor):
    """A corridor whose spaces are replaced one by one."""

    def __init__(self, **replaced: Any) -> None:
        super().__init__()
        self.observation_space = spaces.Dict(
            {
                "image": replaced.get("image", self.observation_space["image"]),  # type: ignore[index]
                "features": replaced.get("features", self.observation_space["features"]),  # type: ignore[index]
            }
        )
        self.action_space = replaced.get("actions", self.action_space)


def float_image() -> Corridor:
    return _Odd(image=spaces.Box(0, 255, (HISTORY, HEIGHT, WIDTH), np.float32))


def flat_image() -> Corridor:
    return _Odd(image=spaces.Box(0, 255, (HEIGHT, WIDTH), np.uint8))


def double_features() -> Corridor:
    return _Odd(features=spaces.Box(-1, 1, (1,), np.float64))


def continuous() -> Corridor:
    return _Odd(actions=spaces.Box(-1, 1, (3,), np.float32))


def many_actions() -> Corridor:
    return _Odd(actions=spaces.Discrete(257))


def one_action() -> Corridor:
    return _Odd(actions=spaces.Discrete(1))


def plain_box() -> Corridor:
    env = Corridor()
    env.observation_space = env.observation_space["image"]  # type: ignore[index]
    return env


def promises_too_little() -> Corridor:
    return _Odd(features=spaces.Box(-1, 1, (2,), np.float32))


class _OldestLast(Corridor):
    def _observation(self) -> dict[str, np.ndarray]:
        observation = super()._observation()
        return {**observation, "image": observation["image"][::-1].copy()}


def oldest_last() -> Corridor:
    return _OldestLast()


class _PaysNan(Corridor):
    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float("nan"), terminated, truncated, info


def pays_nan() -> Corridor:
    return _PaysNan()


def raises() -> Corridor:
    raise OSError("no such device")


def returns_nothing() -> None:
    return None
