"""Past actions as part of the observation."""

from collections import deque
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from actors.game_contract import Game, Observation


class ActionHistory(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Appends the last actions to the features, newest last; zeros before the first ones.

    Args:
        env: the game.
        length: how many past actions, at least 1.
        table: float32 [n_actions, width], what stands for each action: its controls where the game
            has an action table, else one hot.
    """

    def __init__(self, env: Game, length: int, table: npt.NDArray[np.float32]) -> None:
        super().__init__(env)
        self._table = np.asarray(table, dtype=np.float32)
        self._past: deque[npt.NDArray[np.float32]] = deque(maxlen=length)
        self._length = length
        space = env.observation_space
        assert isinstance(space, spaces.Dict)
        inner = space.spaces["features"]
        assert isinstance(inner, spaces.Box)
        n_past = length * self._table.shape[1]
        self.observation_space = spaces.Dict(
            {
                "image": space.spaces["image"],
                "features": spaces.Box(
                    low=np.concatenate([inner.low, np.full(n_past, -1.0, dtype=np.float32)]),
                    high=np.concatenate([inner.high, np.full(n_past, 1.0, dtype=np.float32)]),
                    dtype=np.float32,
                ),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Forgets the actions of the episode before."""
        observation, info = self.env.reset(seed=seed, options=options)
        nothing = np.zeros(self._table.shape[1], dtype=np.float32)
        self._past.extend([nothing] * self._length)
        return self._with_past(observation), info

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Steps the game; the action just taken is the newest of the history."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._past.append(self._table[action])
        return self._with_past(observation), float(reward), terminated, truncated, info

    def _with_past(self, observation: Observation) -> Observation:
        features = np.concatenate([observation["features"], *self._past])
        return {"image": observation["image"], "features": features}
