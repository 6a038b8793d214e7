"""What a preset says of its game reaches that game alone."""

from pathlib import Path

import pytest

from common.game_config import GameConfig
from deploy import cli
from deploy.config_file import load_config
from deploy.train_plan import TrainRequest, make_plan

PLUGIN = "my_game:make"


def test_a_preset_keeps_its_options_with_its_own_game() -> None:
    said: list[str] = []
    game = load_config(preset="quickstart", settings=["game.name=sim"], say=said.append).game
    assert game.options == {"off_track_m": 9.0}
    assert game.feature_scale == (50.0, 5.0, 10000.0)
    assert said == []


def test_the_options_of_a_preset_do_not_reach_another_game() -> None:
    plan = make_plan(TrainRequest(preset="quickstart", settings=[f"game.name={PLUGIN}"]))
    assert plan.config.game.options == {}
    assert plan.config.game.feature_scale == GameConfig().feature_scale
    assert plan.config.learner.n_step == 5, "the rest of the preset stays"
    (notice,) = plan.notices
    assert "game.options" in notice
    assert PLUGIN in notice


def test_the_car_keeps_its_units_in_another_game_of_the_car() -> None:
    game = load_config(preset="quickstart", settings=["game.name=standin"]).game
    assert game.options == {}
    assert game.feature_scale == (50.0, 5.0, 10000.0)


@pytest.mark.parametrize("named", [f"  name: {PLUGIN}\n", ""])
def test_what_a_person_says_of_the_driven_game_stays(tmp_path: Path, named: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"game:\n{named}  options: {{difficulty: 2}}\n")
    settings = ["game.options.seed=3", f"game.name={PLUGIN}"]
    game = load_config(preset="quickstart", file=file, settings=settings).game
    assert game.options == {"difficulty": 2, "seed": 3}


def test_config_show_says_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["config", "show", "--preset", "quickstart", "--set", f"game.name={PLUGIN}"]
    assert cli.main(words) == 0
    captured = capsys.readouterr()
    assert "off_track_m" not in captured.out
    assert "left out" in captured.err
