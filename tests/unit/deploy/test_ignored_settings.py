"""What a game does not use is named."""

import pytest

from common.game_config import GameConfig
from deploy.ignored_settings import ignored_settings


@pytest.mark.parametrize(
    ("game", "ignored"),
    [
        ("sim", ["game.trackmania.reward_line", "game.trackmania.step_s"]),
        ("standin", ["game.trackmania.reward_line"]),
        ("tm20", ["--track oval"]),
        (
            "module:factory",
            ["--track oval", "game.trackmania.reward_line", "game.trackmania.step_s"],
        ),
    ],
)
def test_what_a_game_does_not_use(game: str, ignored: list[str]) -> None:
    settings = [
        "game.trackmania.reward_line=x.npz",
        "game.trackmania.step_s=0.1",
        "game.max_episode_steps=9",
    ]
    found = ignored_settings(GameConfig(name=game), track="oval", settings=settings)
    assert [text.partition(", since")[0] for text in found] == ignored
