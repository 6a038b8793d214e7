import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from actors.standin.rig import StandInRig
from actors.trackmania.env import TrackmaniaEnv
from actors.trackmania.game_host import UsersGame
from actors.trackmania.window_watch import DisplayLostError, WindowFacts, WindowWatch, find_window
from common.game_config import GameConfig

pytestmark = pytest.mark.display


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StandInRig]:
    with StandInRig("first-lap", folder=tmp_path) as rig:
        yield rig


def soon(holds: Callable[[], bool], *, within_s: float = 10.0) -> bool:
    end_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True


def test_the_window_is_found_with_place_and_size_and_its_picture_can_be_taken(
    rig: StandInRig,
) -> None:
    with WindowWatch(display=rig.display) as watch:
        facts = watch.facts()
        assert facts is not None
        assert min(facts) > 0
        assert facts == find_window(display=rig.display)
        picture = watch.grab()
    assert picture is not None
    assert (picture.dtype, picture.shape) == (np.uint8, (facts.height, facts.width, 3))
    assert picture.std() > 0


def test_a_window_of_another_title_is_not_it(rig: StandInRig) -> None:
    assert find_window("Trackmania 2", display=rig.display) is None
    assert find_window("Track", display=rig.display) is None


def test_a_window_that_goes_and_comes_back_is_noticed_by_the_same_connection(
    rig: StandInRig,
) -> None:
    with WindowWatch(display=rig.display) as watch:
        assert watch.facts() is not None
        rig.control.fault("window")
        assert soon(lambda: watch.facts() is None)
        assert watch.grab() is None
        rig.control.heal()
        assert soon(lambda: watch.facts() is not None)
        assert watch.grab() is not None


def test_a_screen_that_goes_raises_our_own_error_again_and_again(rig: StandInRig) -> None:
    watch = WindowWatch(display=rig.display)
    assert isinstance(watch.facts(), WindowFacts)
    rig.stop()
    for look in (watch.facts, watch.grab, watch.facts):
        with pytest.raises(DisplayLostError, match="does not answer"):
            look()
    watch.close()
    with pytest.raises(DisplayLostError, match="does not answer"):
        WindowWatch(display=rig.display)


def test_without_a_display_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(DisplayLostError, match="DISPLAY is not set"):
        find_window()


def test_an_env_whose_screen_dies_has_no_picture_and_takes_the_next_screen(tmp_path: Path) -> None:
    game = UsersGame(9)
    env = TrackmaniaEnv(
        GameConfig(name="tm20"), lines=(), host=game, line_hash="", render_mode="rgb_array"
    )
    with StandInRig("first-lap", folder=tmp_path / "first") as rig:
        game.display = rig.display
        assert env.render() is not None
    assert env.render() is None
    assert env.render() is None
    with StandInRig("first-lap", folder=tmp_path / "second") as rig:
        game.display = rig.display
        assert env.render() is not None
    env.close()
