"""The checks of a game in order, each left out where something that it needs has failed."""

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from actors.game_contract import GameFaultError
from actors.trackmania.window_watch import DisplayLostError
from common.errors import ApexManiaError
from deploy.doctor.finding import Finding, skipped, troubled
from deploy.doctor.game_bench import GameBench
from deploy.doctor.game_subject import GameSubject
from deploy.doctor.input_checks import check_gamepad, check_inputs, check_map
from deploy.doctor.line_process import NoAnswerError
from deploy.doctor.policy_check import check_policy
from deploy.doctor.step_check import check_steps
from deploy.doctor.telemetry_checks import check_port, check_telemetry
from deploy.doctor.window_checks import check_screen, check_tmrl, check_window, check_window_size

GAME_LINK = "game link"


@dataclass(frozen=True, slots=True)
class GameCheck:
    """One check of the game.

    Attributes:
        name: as it is printed.
        needs: names of the checks that must not have failed.
        run: the check.
    """

    name: str
    needs: tuple[str, ...]
    run: Callable[[GameBench], Finding]


GAME_CHECKS: tuple[GameCheck, ...] = (
    GameCheck("tmrl", (), check_tmrl),
    GameCheck("screen", (), check_screen),
    GameCheck("game window", ("screen",), check_window),
    GameCheck("gamepad", (), check_gamepad),
    GameCheck("telemetry port", ("game window",), check_port),
    GameCheck("telemetry", ("telemetry port",), check_telemetry),
    GameCheck("inputs", ("telemetry", "gamepad"), check_inputs),
    GameCheck("map", ("inputs",), check_map),
    GameCheck("window size", ("tmrl", "game window"), check_window_size),
    GameCheck("steps", ("tmrl", "map", "window size"), check_steps),
    GameCheck("policy", (), lambda bench: check_policy(bench.subject.config)),
)


def examine_game(subject: GameSubject) -> list[Finding]:
    """Runs all checks of a game and returns their findings in order.

    One cause gives one failure: what depends on it says that it was skipped, and for what.

    Args:
        subject: the game.
    """
    absent = _absent(subject)
    if absent is not None:
        return [absent]
    findings: list[Finding] = []
    blocked_by: dict[str, str] = {}
    with GameBench(subject) as bench:
        for check in GAME_CHECKS:
            missing = next((blocked_by[need] for need in check.needs if need in blocked_by), None)
            if missing is not None:
                finding = skipped(check.name, missing)
                blocked_by[check.name] = missing
            else:
                finding = _guarded(check, bench)
                if finding.level == "fail":
                    blocked_by[check.name] = check.name
            findings.append(finding)
            if finding.cause == "game_frozen":
                # A frozen window takes no new size either, and may hold tmrl up for ever.
                blocked_by["game window"] = check.name
    return findings


def _guarded(check: GameCheck, bench: GameBench) -> Finding:
    """Runs a check and turns what it raises into its finding."""
    try:
        return check.run(bench)
    except DisplayLostError as error:
        return troubled(check.name, "display_lost", f"{error.what} {error.why}")
    except GameFaultError as fault:
        return troubled(check.name, fault.cause, fault.detail)
    except NoAnswerError as error:
        return troubled(check.name, "gamepad_missing", f"It went away: {error}.")
    except ApexManiaError as error:
        return Finding(check.name, "fail", f"{error.what} {error.why}", error.fix)


def _absent(subject: GameSubject) -> Finding | None:
    """Returns that this machine has no screen for a game at all, so that it is said once and plainly."""
    if sys.platform == "win32" or subject.display or os.environ.get("DISPLAY"):
        return None
    missing = [] if importlib.util.find_spec("tmrl") else [" nor tmrl"]
    return Finding(
        GAME_LINK,
        "fail",
        f"This machine has no screen (DISPLAY is not set){''.join(missing)}, so it cannot drive "
        "TrackMania. A learner, a replay, the built-in simulation and the stand-in need no screen.",
        "here: apexmania doctor --role learner, or --role actor --game standin; where the game runs: "
        "open the terminal in the session that shows it",
        cause="display_lost",
        docs="docs/tm20.md#display_lost",
    )
