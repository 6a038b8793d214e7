"""A machine that lacks something is told so before anything starts."""

import pytest

from actors.ray_actor import DrivingShell
from actors.trackmania.prerequisites import require_prerequisites
from common.config import Config
from common.errors import MachineError
from common.game_config import GameConfig
from deploy.launcher import open_contract


def test_a_simulated_game_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    require_prerequisites(GameConfig(name="sim"))


@pytest.mark.display
def test_the_stand_in_is_ready_here() -> None:
    require_prerequisites(GameConfig(name="standin"))


def test_the_stand_in_needs_xvfb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match="Xvfb is not installed") as caught:
        require_prerequisites(GameConfig(name="standin"))
    assert "apt-get install" in caught.value.fix


def test_trackmania_needs_a_gamepad_or_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(MachineError, match=r"vgamepad|DISPLAY"):
        require_prerequisites(GameConfig(name="tm20"))


def test_a_ray_actor_asks_on_its_own_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(game=GameConfig(name="standin"))
    shell = DrivingShell(
        open_contract(config), redis_url="redis://127.0.0.1:1/0", run="r", run_dir=None, index=0
    )
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match="Xvfb is not installed"):
        shell.run()
