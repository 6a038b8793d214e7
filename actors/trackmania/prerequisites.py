"""What a machine must have before a game of tmrl can be driven on it, asked before anything starts."""

import importlib.util
import os
import shutil
import sys

from actors.trackmania.game_trouble import TROUBLES
from common.errors import MachineError
from common.game_config import GameConfig

_XDOTOOL, _XVFB = "xdotool", "Xvfb"
_INSTALL = "sudo apt-get install -y --no-install-recommends xvfb xdotool"


def require_prerequisites(game: GameConfig) -> None:
    """Refuses a game of tmrl that this machine cannot drive, whatever state the game is in.

    Args:
        game: any game; those that tmrl does not drive need nothing.

    Raises:
        MachineError: with what is missing and how to get it.
    """
    if not game.real_time:
        return
    _require_module("tmrl", "tmrl_missing")
    if game.runs_by_itself:
        _require_program(_XVFB, "the stand-in draws into a window, which needs an X display")
    else:
        _require_module("vgamepad", "gamepad_missing")
    if sys.platform == "win32":
        return
    _require_program(_XDOTOOL, "tmrl finds and places the game's window with it")
    if not game.runs_by_itself and not os.environ.get("DISPLAY"):
        trouble = TROUBLES["display_lost"]
        raise MachineError("DISPLAY is not set.", trouble.meaning, trouble.fix)


def _require_module(name: str, cause: str) -> None:
    """Sees that a module is installed, without importing it."""
    if importlib.util.find_spec(name) is None:
        trouble = TROUBLES[cause]
        raise MachineError(f"The module {name} is not installed.", trouble.meaning, trouble.fix)


def _require_program(name: str, why: str) -> None:
    if shutil.which(name) is None:
        raise MachineError(f"{name} is not installed.", why, _INSTALL)
