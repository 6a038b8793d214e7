"""The seed of a game's first episode."""

from typing import Any

import gymnasium

from actors.game_contract import Game, Observation


class FirstSeed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Seeds the first reset where the caller names no seed; later episodes go on from there.

    Args:
        env: the game.
        seed: seed of the first reset.
    """

    def __init__(self, env: Game, seed: int) -> None:
        super().__init__(env)
        self._seed: int | None = seed

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Resets the game."""
        first, self._seed = self._seed, None
        return self.env.reset(seed=first if seed is None else seed, options=options)
