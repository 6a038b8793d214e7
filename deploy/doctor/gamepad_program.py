"""Holds a virtual gamepad and does what its stdin says: one JSON object a line, one answer each.

    python -m deploy.doctor.gamepad_program [--stand-in]
    {"gas": 1.0, "steer": -0.5, "button": 8192}

What a line does not name is released. The gamepad goes when stdin ends.
"""

import importlib
import json
import sys
from types import ModuleType
from typing import Any


def main() -> None:
    """Serves until stdin ends."""
    gamepad = _module(stand_in="--stand-in" in sys.argv[1:]).VX360Gamepad()
    print("ready", flush=True)  # noqa: T201 - the answer to whoever started this
    for line in sys.stdin:
        _apply(gamepad, json.loads(line))
        print("done", flush=True)  # noqa: T201 - same
    gamepad.reset()
    gamepad.update()


def _module(*, stand_in: bool) -> ModuleType:
    """Returns vgamepad, which opens the device driver, or what takes its place for the stand-in."""
    return importlib.import_module("actors.standin.virtual_gamepad" if stand_in else "vgamepad")


def _apply(gamepad: Any, wanted: dict[str, Any]) -> None:  # noqa: ANN401 - vgamepad has no types
    gamepad.reset()
    gamepad.right_trigger_float(value_float=float(wanted.get("gas", 0.0)))
    gamepad.left_joystick_float(float(wanted.get("steer", 0.0)), 0.0)
    if wanted.get("button"):
        gamepad.press_button(button=int(wanted["button"]))
    gamepad.update()


if __name__ == "__main__":
    main()
