"""Checks of the screen, the game's window, and of tmrl, which resizes it."""

import os
import shutil
import sys

from actors.trackmania.window_watch import TITLE
from deploy.doctor.finding import Finding, troubled
from deploy.doctor.game_bench import GameBench
from deploy.doctor.line_process import NoAnswerError

_IMPORT_S = 60.0
_RESIZE_S = 15.0


def check_tmrl(bench: GameBench) -> Finding:
    """Whether tmrl imports, and on Linux finds the xdotool that it moves windows with."""
    try:
        version = bench.tmrl.answer(_IMPORT_S)
    except NoAnswerError as error:
        return troubled("tmrl", "tmrl_missing", f"{sys.executable} says: {error}.")
    path = bench.subject.environment.get("PATH")
    if sys.platform != "win32" and shutil.which("xdotool", path=path) is None:
        finding = troubled("tmrl", "tmrl_missing", "Its program xdotool is not installed.")
        return Finding(**{**finding.to_dict(), "fix": "sudo apt install xdotool"})
    return Finding("tmrl", "ok", f"{version} in {sys.executable}")


def check_screen(bench: GameBench) -> Finding:
    """Whether there is a screen to look at; what is wrong is raised."""
    bench.watch.facts()
    display = bench.subject.display or os.environ.get("DISPLAY", "this desktop")
    return Finding("screen", "ok", display)


def check_window(bench: GameBench) -> Finding:
    """Whether the game's window is there and can be seen."""
    facts = bench.watch.facts()
    if facts is None:
        return troubled("game window", "window_missing", f"Looked for {TITLE!r}.")
    found = f"{facts.width} x {facts.height} pixels at {facts.x}, {facts.y}"
    return Finding("game window", "ok", found)


def check_window_size(bench: GameBench) -> Finding:
    """Whether the window takes the size that tmrl gives it, and stands where tmrl photographs."""
    name, game = "window size", bench.subject.config.game
    width, height = game.trackmania.window_width, game.trackmania.window_height
    try:
        bench.tmrl.ask(f"{width} {height}", _RESIZE_S)
    except NoAnswerError as error:
        return troubled(name, "window_size", f"tmrl's resize says: {error}.")
    facts = bench.watch.facts()
    if facts is None:
        return troubled(name, "window_missing", "It went away while it was resized.")
    found = f"{facts.width} x {facts.height} pixels"
    if (facts.width, facts.height) != (width, height):
        return troubled(name, "window_size", f"It is {found}, not {width} x {height}.")
    across, down = game.trackmania.screen_x_offset, game.trackmania.screen_y_offset
    if bench.subject.is_stand_in:
        across, down = 0, 0
    if sys.platform != "win32" and (facts.x, facts.y) != (across, down):
        return Finding(
            name,
            "warn",
            f"{found}, but tmrl photographs at {across}, {down} and the picture is at "
            f"{facts.x}, {facts.y}",
            f"--set game.trackmania.screen_x_offset={facts.x} "
            f"--set game.trackmania.screen_y_offset={facts.y}",
            docs="docs/tm20.md#window_size",
        )
    return Finding(name, "ok", f"{found}, as tmrl set it")
