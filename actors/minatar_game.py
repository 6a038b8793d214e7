"""MinAtar Breakout as a game: the worked example of ``docs/games.md``.

Young and Tian (2019) made MinAtar to test agents in minutes: 10x10 cells, one channel an object. Here
the channels are folded into one grey frame, a level for each object.
"""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from common.errors import ConfigError

CELLS = 10
HISTORY = 2
LEVELS = {"brick": 64, "trail": 128, "paddle": 192, "ball": 255}
"""Grey level of each channel; where two share a cell the brighter one shows."""

ACTIONS = ("n", "l", "r")
"""MinAtar's moves that mean anything in Breakout: nothing, left, right."""

_PICTURE_PIXELS_PER_CELL = 36


class MinAtarBreakout(gymnasium.Env[Any, Any]):
    """Breakout with a paddle, a ball and three rows of bricks; a reward of 1 for each brick.

    Args:
        render_mode: ``rgb_array`` lets ``render()`` return pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as gymnasium has it

    def __init__(self, *, render_mode: str | None = None) -> None:
        try:
            from minatar.environments.breakout import Env  # noqa: PLC0415 - an optional package
        except ImportError as error:
            raise ConfigError(
                "The package MinAtar is not installed.",
                "The game actors.minatar_game:breakout is played with it.",
                "pip install MinAtar",
            ) from error
        self._game = Env()
        self._levels = np.zeros(len(self._game.channels), dtype=np.uint8)
        for channel, index in self._game.channels.items():
            self._levels[index] = LEVELS[channel]
        self._moves = [self._game.action_map.index(action) for action in ACTIONS]
        self._image = np.zeros((HISTORY, CELLS, CELLS), dtype=np.uint8)
        self.render_mode = render_mode
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (HISTORY, CELLS, CELLS), np.uint8),
                "features": spaces.Box(-np.inf, np.inf, (0,), np.float32),
            }
        )
        self.action_space = spaces.Discrete(len(ACTIONS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Starts a game; every frame of the stack shows its first picture."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._game.random = np.random.RandomState(seed)
        self._game.reset()
        self._image = np.stack([self._frame()] * HISTORY)
        return self._observation(), {}

    def step(
        self, action: int
    ) -> tuple[dict[str, npt.NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Moves the paddle; the game ends when the ball falls."""
        reward, terminal = self._game.act(self._moves[action])
        self._image = np.concatenate([self._image[1:], self._frame()[None]])
        return self._observation(), float(reward), bool(terminal), False, {}

    def render(self) -> Any:  # noqa: ANN401 - the type that gymnasium gives it
        """Returns the newest frame as an RGB picture, large enough to look at."""
        if self.render_mode is None:
            return None
        scale = _PICTURE_PIXELS_PER_CELL
        grey = self._image[-1].repeat(scale, axis=0).repeat(scale, axis=1)
        return np.stack([grey] * 3, axis=-1)

    def _frame(self) -> npt.NDArray[np.uint8]:
        """Folds the channels into one grey frame."""
        frame: npt.NDArray[np.uint8] = (self._game.state() * self._levels).max(axis=-1)
        return frame.astype(np.uint8)

    def _observation(self) -> dict[str, npt.NDArray[Any]]:
        return {"image": self._image, "features": np.zeros(0, dtype=np.float32)}


def breakout(*, render_mode: str | None = None) -> MinAtarBreakout:
    """Returns Breakout; ``--game actors.minatar_game:breakout`` calls this."""
    return MinAtarBreakout(render_mode=render_mode)
