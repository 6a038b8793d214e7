"""Checks of the gamepad and of what reaches the car, and of the map that the car stands on."""

import time

import numpy as np

from actors.standin.pad import B_BUTTON
from actors.trackmania.game_trouble import TROUBLES
from actors.trackmania.reward_line import nearest_line
from actors.trackmania.tee import FLOWING
from deploy.doctor.finding import Finding, troubled
from deploy.doctor.game_bench import Arrived, GameBench
from deploy.doctor.line_process import NoAnswerError

_READY_S = 15.0
_PRESS_S = 0.1
_AFTER_COUNTDOWN_S = 0.5
_ECHO_S = 3.0
_RESTART_S = 4.0
_DRIVE_S = 5.0
_STEER = 0.5
_GAS_ECHO, _STEER_ECHO = 0.5, 0.1
_DRIVEN_M = 1.0
_INPUTS = "inputs"


def check_gamepad(bench: GameBench) -> Finding:
    """Whether a virtual gamepad can be made; it stays plugged in for the checks that follow."""
    try:
        bench.gamepad.answer(_READY_S)
    except NoAnswerError as error:
        return troubled("gamepad", "gamepad_missing", f"vgamepad says: {error}.")
    found = "the stand-in's own" if bench.subject.is_stand_in else "a virtual Xbox 360 gamepad"
    return Finding("gamepad", "ok", found)


def check_inputs(bench: GameBench) -> Finding:
    """Whether restart, gas and steering reach the car: the telemetry echoes them.

    The car is brought to the start, driven a few metres and brought back.
    """
    _restart(bench)
    trackmania = bench.subject.config.game.trackmania
    time.sleep(max(trackmania.countdown_s, trackmania.reset_sleep_s) + _AFTER_COUNTDOWN_S)
    latest = bench.tee.latest
    assert latest is not None
    at_start = latest[0]
    echo = _echo(bench)
    if bench.tee.state != FLOWING:
        bench.press()
        return troubled(_INPUTS, "telemetry_stalled", "It stopped while the car was driven.")
    if echo is None:
        return troubled(_INPUTS, "inputs_dead", _missing(bench))
    sent_s, (_, arrived_s) = echo
    driven = bench.await_message(
        lambda message: message.distance_m > at_start.distance_m + _DRIVEN_M,
        since_s=sent_s,
        timeout_s=_DRIVE_S,
    )
    if _restart(bench) is False:
        return troubled(
            _INPUTS,
            "inputs_dead",
            "Gas and steering arrive, but the button B does not restart the race.",
        )
    bench.start = (at_start.x, at_start.y, at_start.z)
    echo_ms = (arrived_s - sent_s) * 1000.0
    figures = {"echo_ms": round(echo_ms, 1)}
    if driven is None:
        return Finding(
            _INPUTS,
            "warn",
            f"gas and steering arrive, but the car did not move within {_DRIVE_S:.0f} s, and "
            "without that its return to the start cannot be seen",
            "see that the race runs and the car stands free, then run the doctor again",
            docs=TROUBLES["inputs_dead"].anchor,
            figures=figures,
        )
    return Finding(
        _INPUTS,
        "ok",
        f"gas, steering and restart reach the car, echo after {echo_ms:.0f} ms",
        figures=figures,
    )


def check_map(bench: GameBench) -> Finding:
    """Whether the car stands where a reward line starts."""
    assert bench.start is not None
    start = ", ".join(f"{metres:.1f}" for metres in bench.start)
    lines = bench.subject.lines
    if not lines:
        return Finding(
            "map",
            "warn",
            f"the car starts at {start}; no reward line is configured to compare with",
            "record one: apexmania game record-line, then --set game.trackmania.reward_line=FILE",
            docs="docs/tm20.md#other_map",
        )
    line = nearest_line(lines, bench.start)
    if line is not None:
        return Finding("map", "ok", f"{line.name}, {line.length_m:.0f} m from start to finish")
    here = np.asarray(bench.start)
    away_m, name = min((float(np.linalg.norm(line.points[0] - here)), line.name) for line in lines)
    return troubled(
        "map",
        "other_map",
        f"The car starts at {start}; the nearest reward line, {name}, starts {away_m:.0f} m away.",
    )


def _restart(bench: GameBench) -> bool | None:
    """Presses B, and returns whether the race began anew: its distance falls to nothing.

    None for a car that has not left the start, with which that cannot be seen.
    """
    latest = bench.tee.latest
    assert latest is not None
    left_start = latest[0].distance_m >= _DRIVEN_M
    bench.press(button=B_BUTTON)
    time.sleep(_PRESS_S)
    pressed_s = bench.press()
    if not left_start:
        return None
    found = bench.await_message(
        lambda message: message.distance_m < _DRIVEN_M, since_s=pressed_s, timeout_s=_RESTART_S
    )
    return found is not None


def _echo(bench: GameBench) -> tuple[float, Arrived] | None:
    """Gives gas and steers, and returns when, and the first message that shows both."""
    sent_s = bench.press(gas=1.0, steer=_STEER)
    arrived = bench.await_message(
        lambda message: message.gas > _GAS_ECHO and abs(message.steer) > _STEER_ECHO,
        since_s=sent_s,
        timeout_s=_ECHO_S,
    )
    return None if arrived is None else (sent_s, arrived)


def _missing(bench: GameBench) -> str:
    """Says what of gas and steering the telemetry shows while both are held, and lets go."""
    latest = bench.tee.latest
    bench.press()
    assert latest is not None
    gas, steer = latest[0].gas, latest[0].steer
    return f"Held gas 1 and steering {_STEER}; the telemetry shows gas {gas:g}, steering {steer:g}."
