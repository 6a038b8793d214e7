"""What ApexMania asks of a game, and the checks that say so in plain words.

A game is a Gymnasium environment with

    observation  Dict(image: Box uint8 (history, height, width), newest frame last,
                      features: Box float32 (n_features,), n_features may be 0)
    action       Discrete(n), 2 <= n <= 256
    info         optional: finished, lap_time_ms, progress_m, end_reason
    metadata     optional: real_time (the game does not wait for us), step_s (its period)

``docs/games.md`` explains each line with a worked example.
"""

import math
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from common.errors import ConfigError

Observation = dict[str, npt.NDArray[Any]]
"""``image`` uint8 (history, height, width), newest last, and ``features`` float32 (n_features,)."""

Game = gymnasium.Env[Any, Any]
"""An environment of the contract; Gymnasium's own types cannot say it more narrowly."""

MIN_ACTIONS = 2
MAX_ACTIONS = 256
_IMAGE_DIMENSIONS = 3
_STACK_CHECKS = 100
_DOCS = "docs/games.md shows the contract with a worked example"


class GameFaultError(Exception):
    """Something broke between us and the game; the episode is over, the actor is not.

    A game that mends itself raises it from ``step`` or ``reset`` and is asked for ``reset`` again.

    Args:
        cause: constant name, such as those of ``actors.trackmania.game_trouble``.
        detail: what was seen.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail

    def __str__(self) -> str:
        """Returns cause and detail."""
        return f"{self.cause}: {self.detail}" if self.detail else self.cause


class GameNotReadyError(GameFaultError):
    """The game cannot start an episode yet; nothing broke since, and ``reset`` may be called again."""


@runtime_checkable
class SelfMendingGame(Protocol):
    """A game that brings itself back after a fault, however long that takes.

    Attributes:
        restarts: how often it started its own parts anew.
    """

    restarts: int


def check_spaces(name: str, env: Game) -> None:
    """Refuses a game whose spaces are not those of the contract.

    Raises:
        ConfigError: with the space that differs, what was found and what is expected.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Dict) or set(space.spaces) != {"image", "features"}:
        raise _wrong_space(
            name, "observation_space", space, "Dict with the keys image and features"
        )
    _check_image(name, space.spaces["image"])
    features = space.spaces["features"]
    if not (
        isinstance(features, spaces.Box)
        and len(features.shape) == 1
        and features.dtype == np.float32
    ):
        raise _wrong_space(
            name, "observation_space['features']", features, "Box of float32, shape (n_features,)"
        )
    actions = env.action_space
    if not isinstance(actions, spaces.Discrete) or int(actions.start) != 0:
        raise _wrong_space(name, "action_space", actions, "Discrete(n), counted from 0")
    if not MIN_ACTIONS <= int(actions.n) <= MAX_ACTIONS:
        raise _wrong_space(name, "action_space", actions, f"Discrete(n), 2 <= n <= {MAX_ACTIONS}")


def _check_image(name: str, image: spaces.Space[Any]) -> None:
    """Refuses an image space that is not a stack of grey uint8 frames."""
    if not (
        isinstance(image, spaces.Box)
        and image.dtype == np.uint8
        and len(image.shape) == _IMAGE_DIMENSIONS
        and min(image.shape) > 0
    ):
        raise _wrong_space(
            name,
            "observation_space['image']",
            image,
            "Box of uint8, shape (history, height, width)",
        )


def _wrong_space(name: str, which: str, found: object, expected: str) -> ConfigError:
    return ConfigError(
        f"The game {name} has the {which} {found}.",
        f"ApexMania expects {expected}.",
        f"Change {which} of the environment, or wrap it; {_DOCS}.",
    )


class CheckedGame(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A plug-in game whose observations and rewards are held to the contract.

    The log keeps each frame once and rebuilds the stacks, so a game whose stack does not shift by one
    frame a step would train on pictures that nobody acted on; the first steps are checked for that.

    Args:
        env: the game.
        name: how the user named it, for the messages.
    """

    def __init__(self, env: Game, name: str) -> None:
        super().__init__(env)
        self._name = name
        self._first_reset = True
        self._stack_checks = _STACK_CHECKS
        self._image: npt.NDArray[np.uint8] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Resets the game; the first time the observation is compared with its space."""
        observation, info = self.env.reset(seed=seed, options=options)
        if self._first_reset:
            self._check_observation(observation)
            self._first_reset = False
        self._image = np.array(observation["image"])
        return observation, info

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Steps the game and checks the reward and, at first, how the frames shift."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if not math.isfinite(reward):
            raise ConfigError(
                f"The game {self._name} paid the reward {reward}.",
                "A reward must be a finite number; the replay refuses anything else.",
                "Correct the environment's reward, or wrap it and clip there.",
            )
        if self._stack_checks > 0:
            self._check_stack(observation["image"])
            self._stack_checks -= 1
        return observation, float(reward), bool(terminated), bool(truncated), info

    def _check_observation(self, observation: object) -> None:
        if not self.observation_space.contains(observation):
            found = _shape_of(observation)
            raise ConfigError(
                f"The first observation of the game {self._name} is {found}.",
                f"That is not in its own observation_space {self.observation_space}.",
                "Make reset() return what the space promises (dtype, shape and limits); "
                "gymnasium.utils.env_checker.check_env finds the place.",
            )

    def _check_stack(self, image: npt.NDArray[np.uint8]) -> None:
        if self._image is not None and not np.array_equal(image[:-1], self._image[1:]):
            raise ConfigError(
                f"The game {self._name} does not shift its frames by one a step.",
                "The newest frame must come last and the others must be the newest ones of the "
                "observation before; the replay rebuilds the stacks from single frames.",
                f"Stack frames as gymnasium.wrappers.FrameStackObservation does; {_DOCS}.",
            )
        self._image = np.array(image)


def _shape_of(value: object) -> str:
    """Names the type, and for arrays the dtype and shape, of what a game returned."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shape_of(part)}" for key, part in value.items()) + "}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return type(value).__name__


def end_reason(info: dict[str, Any], *, terminated: bool) -> str:
    """Returns the game's word for the end of an episode, or a plain one where it has none.

    Args:
        info: of the last env step.
        terminated: whether the task ended; otherwise time ran out.
    """
    if info.get("end_reason"):
        return str(info["end_reason"])
    if info.get("finished"):
        return "finish"
    return "terminated" if terminated else "time_limit"
