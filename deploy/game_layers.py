"""Keeps what one layer of the configuration says of its game away from another game."""

from collections.abc import Sequence
from typing import Any

from common.game_config import CAR_GAMES

Tree = dict[str, Any]


def drop_other_games(layers: Sequence[Tree]) -> list[str]:
    """Takes out of each layer what belongs to another game than the one that is driven.

    Options are keyword arguments of one factory, and the divisors of the features mean the car's or
    nobody's. A layer that names no game means the one that is driven.

    Args:
        layers: trees in the order in which they are merged; they may lose keys.

    Returns:
        What was dropped, one line a layer.
    """
    named = [_named_game(layer) for layer in layers]
    driven = next((name for name in reversed(named) if name), None)
    dropped = []
    for layer, meant in zip(layers, named, strict=True):
        if meant is None or meant == driven:
            continue
        both_cars = {meant, driven} <= set(CAR_GAMES)
        tied = ("options",) if both_cars else ("options", "feature_scale")
        keys = [f"game.{key}" for key in tied if layer["game"].pop(key, None)]
        if keys:
            dropped.append(
                f"{' and '.join(keys)} of the game {meant} left out: this run drives {driven}."
            )
    return dropped


def _named_game(layer: Tree) -> str | None:
    game = layer.get("game")
    name = game.get("name") if isinstance(game, dict) else None
    return name if isinstance(name, str) else None
