"""Rewards brought to a size that the network learns well."""

from typing import Any, SupportsFloat

import gymnasium

from actors.game_contract import Game


class RewardScale(gymnasium.RewardWrapper[Any, Any]):
    """Multiplies each reward.

    Args:
        env: the game.
        factor: what a reward is multiplied by (1), above 0.
    """

    def __init__(self, env: Game, factor: float) -> None:
        super().__init__(env)
        self._factor = factor

    def reward(self, reward: SupportsFloat) -> float:
        """Returns the reward times the factor."""
        return self._factor * float(reward)
