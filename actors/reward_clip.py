"""Rewards held between plus and minus a limit."""

from typing import Any, SupportsFloat

import gymnasium

from actors.game_contract import Game


class RewardClip(gymnasium.RewardWrapper[Any, Any]):
    """Clips each reward.

    Args:
        env: the game.
        limit: largest magnitude that passes (reward units), above 0.
    """

    def __init__(self, env: Game, limit: float) -> None:
        super().__init__(env)
        self._limit = limit

    def reward(self, reward: SupportsFloat) -> float:
        """Returns the reward, at most the limit and at least its negative."""
        return max(-self._limit, min(self._limit, float(reward)))
