"""Checks of the telemetry: who holds its port, whether it flows, and why where it does not."""

import time

from actors.port_holder import client_of, listener
from actors.trackmania.tee import CLOSED, FLOWING, MISFRAMED, REFUSED, STALLED
from deploy.doctor.finding import Finding, troubled
from deploy.doctor.game_bench import GameBench
from deploy.doctor.line_process import NoAnswerError
from deploy.doctor.picture_motion import comes_to_rest, moves

_REFUSED_S = 1.5
_SILENT_S = 2.0
_LISTEN_S = 1.5
_ROLL_OUT_S = 6.0
_DRIVE_S = 3.0
_LOOK_S = 0.02
_PORT, _TELEMETRY = "telemetry port", "telemetry"


def check_port(bench: GameBench) -> Finding:
    """Whether the plugin takes our connection; it has room for one client."""
    port = bench.subject.telemetry_port
    other = client_of(port)
    if other is not None:
        return troubled(_PORT, "port_taken", f"Connected to 127.0.0.1:{port} is {other}.")
    end_s = time.monotonic() + _REFUSED_S
    while bench.tee.counters.connects == 0:
        if time.monotonic() > end_s:
            return troubled(_PORT, "telemetry_refused", f"Tried 127.0.0.1:{port}.")
        time.sleep(_LOOK_S)
    holder = listener(port)
    found = f"127.0.0.1:{port} takes our connection"
    return Finding(_PORT, "ok", f"{found}; {holder} listens" if holder else found)


def check_telemetry(bench: GameBench) -> Finding:
    """Whether whole messages keep coming; a silent game is told apart by its picture."""
    tee = bench.tee
    end_s = time.monotonic() + _SILENT_S
    while time.monotonic() < end_s and tee.counters.messages + tee.counters.misframes == 0:
        time.sleep(_LOOK_S)
    if tee.counters.messages + tee.counters.misframes == 0:
        return _ended(bench) if tee.state in (CLOSED, REFUSED) else _silent(bench)
    began_s = time.perf_counter()
    time.sleep(_LISTEN_S)
    if tee.counters.misframes > 0:
        return _stranger(bench) or troubled(
            _TELEMETRY,
            "telemetry_misframed",
            f"{tee.counters.misframes} of {tee.counters.connects} connections went wrong.",
        )
    if tee.state in (CLOSED, REFUSED) or tee.counters.drops > 0:
        return _ended(bench)
    if tee.state in (STALLED, MISFRAMED):
        return troubled(
            _TELEMETRY, "telemetry_stalled", f"The last message came {tee.since_s:.1f} s ago."
        )
    assert tee.latest is not None
    hertz = len(bench.messages_since(began_s)) / _LISTEN_S
    message = tee.latest[0]
    found = (
        f"{hertz:.0f} messages a second, car at {message.x:.1f}, {message.y:.1f}, {message.z:.1f}"
    )
    return Finding(_TELEMETRY, "ok", found, figures={"telemetry_hz": round(hertz, 1)})


def _ended(bench: GameBench) -> Finding:
    return _stranger(bench) or troubled(
        _TELEMETRY, "telemetry_closed", f"Lost {bench.tee.counters.connects} connections."
    )


def _stranger(bench: GameBench) -> Finding | None:
    """Returns that something else than the plugin has the port, where it can be told."""
    port = bench.subject.telemetry_port
    holder = listener(port)
    if holder is None or holder.may_be_the_game:
        return None
    return troubled(_TELEMETRY, "port_taken", f"On 127.0.0.1:{port} listens {holder}.")


def _silent(bench: GameBench) -> Finding:
    """Tells a menu, a stalled plugin and a frozen game apart.

    The plugin takes the connection and says nothing while there is no car. A menu moves by itself; a
    race rests until somebody gives gas; a frozen game does neither. Nothing but gas is pressed: in a
    menu a button would choose something.
    """
    stranger = _stranger(bench)
    if stranger is not None:
        return stranger
    said = f"Connected for {bench.tee.since_s:.0f} s without a message"
    if not comes_to_rest(bench.watch, patience_s=_ROLL_OUT_S):
        return troubled(_TELEMETRY, "not_on_map", f"{said}, and the picture moves by itself.")
    try:
        bench.press(gas=1.0)
        driven = moves(bench.watch, patience_s=_DRIVE_S)
        bench.press()
    except NoAnswerError:
        return troubled(
            _TELEMETRY,
            "telemetry_silent",
            f"{said}; without a gamepad there is no telling whether the game is frozen too.",
        )
    if bench.tee.state == FLOWING:
        return Finding(_TELEMETRY, "ok", "It began while it was looked at; run the doctor again.")
    if driven:
        return troubled(
            _TELEMETRY, "telemetry_silent", f"{said}; the picture rests, and moves with gas."
        )
    return troubled(_TELEMETRY, "game_frozen", f"{said}; the picture rests, with gas too.")
