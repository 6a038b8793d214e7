"""A reward for crossing the finish line."""

from typing import Any

import gymnasium

from actors.game_contract import Game, Observation


class FinishBonus(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds a bonus to the reward of the step that finishes the lap, as ``info["finished"]`` tells.

    Args:
        env: the game.
        bonus: reward units.
    """

    def __init__(self, env: Game, bonus: float) -> None:
        super().__init__(env)
        self._bonus = bonus

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Steps the game and pays at the line, where the episode ends."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        bonus = self._bonus if terminated and info.get("finished") else 0.0
        return observation, float(reward) + bonus, terminated, truncated, info
