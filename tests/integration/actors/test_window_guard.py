"""The guard of the window tells of a screen that is gone, and of one that only does not answer."""

import os
import signal
from pathlib import Path

import pytest

from actors.standin.virtual_display import VirtualDisplay
from actors.trackmania.window_guard import WindowGuard
from tests.support.actor_run import until

pytestmark = pytest.mark.display


def test_a_screen_that_hangs_is_lost_and_comes_back(tmp_path: Path) -> None:
    with VirtualDisplay(log=tmp_path / "xvfb.log") as display:
        guard = WindowGuard(display.name)
        assert display.pid is not None
        until(lambda: guard.look(within_s=1.0) == "window_missing")
        assert display.answers(within_s=1.0)
        os.kill(display.pid, signal.SIGSTOP)
        assert not display.answers(within_s=0.2)
        assert guard.look(within_s=0.2) == "display_lost"
        until(lambda: guard.trouble == "display_lost")
        os.kill(display.pid, signal.SIGCONT)
        until(lambda: guard.trouble == "window_missing")
        assert display.answers(within_s=1.0)
        guard.close()
        assert not guard.alive


def test_a_guard_that_waits_for_a_stopped_screen_ends_with_it(tmp_path: Path) -> None:
    display = VirtualDisplay(log=tmp_path / "xvfb.log")
    display.start()
    guard = WindowGuard(display.name)
    assert display.pid is not None
    until(lambda: guard.look(within_s=1.0) == "window_missing")
    os.kill(display.pid, signal.SIGSTOP)
    until(lambda: guard.trouble == "display_lost")
    guard.close()
    display.stop(patience_s=0.1)
    until(lambda: not guard.alive)


class FailingGuard(WindowGuard):
    """A guard with an error of its own."""

    def _look(self) -> None:
        raise ValueError("a mistake of ours")


def test_a_guard_that_died_is_trouble() -> None:
    guard = FailingGuard(":0")
    until(lambda: not guard.alive)
    assert guard.trouble == "display_lost"
    guard.close()
