"""Whether env steps come in time: some of them through the real tmrl, as an actor takes them."""

import time
from collections.abc import Mapping

import numpy as np

from actors.game_contract import GameFaultError, GameNotReadyError
from actors.trackmania.env import STARTING, TrackmaniaEnv
from actors.trackmania.reward_line import SPACING_M, RewardLine
from common.game_config import PROVEN_ACTIONS
from deploy.doctor.finding import Finding, troubled
from deploy.doctor.game_bench import GameBench
from deploy.doctor.game_subject import GameSubject

_STEPS = 40
_COAST = 0
_READY_S = 60.0
_SETTLE_S = 10.0
_FORGIVEN_FAULTS = 1
_LATE = 1.3
_LATE_SHARE = 0.25
_SHORT_LINE_POINTS = 20


class SubjectHost:
    """The game under examination as an env sees it; nothing is mended, since that would hide the cause.

    Args:
        subject: the game.
    """

    def __init__(self, subject: GameSubject) -> None:
        self._subject = subject

    @property
    def telemetry_port(self) -> int:
        """Port of the plugin."""
        return self._subject.telemetry_port

    @property
    def display(self) -> str | None:
        """X display of the game, None for the one of the environment."""
        return self._subject.display

    def start(self) -> None:
        """Does nothing: the game runs."""

    def environment(self) -> Mapping[str, str]:
        """Returns the variables by which tmrl finds the game's screen and gamepad."""
        return self._subject.environment

    def mend(self, cause: str, *, lasting_s: float) -> bool:  # noqa: ARG002 - the host's signature
        """Leaves the game as it is."""
        return False

    def close(self) -> None:
        """Leaves the game as it is."""


def check_steps(bench: GameBench) -> Finding:
    """Times env steps against ``step_s``; the car stands still meanwhile."""
    bench.let_go()
    game = bench.subject.config.game.model_copy(update={"actions": PROVEN_ACTIONS})
    lines = bench.subject.lines or (_short_line(bench),)
    env = TrackmaniaEnv(game, lines=lines, host=SubjectHost(bench.subject), line_hash="")
    try:
        _reset(env)
        env.step(_COAST)  # the very first one prepares what the others use
        took_ms = []
        for _ in range(_STEPS):
            began_s = time.perf_counter()
            env.step(_COAST)
            took_ms.append((time.perf_counter() - began_s) * 1000.0)
    finally:
        env.close()
    step_ms = game.trackmania.step_s * 1000.0
    p50_ms, p95_ms = (float(value) for value in np.percentile(took_ms, (50, 95)))
    late = sum(took > _LATE * step_ms for took in took_ms)
    figures = {"step_p50_ms": round(p50_ms, 1), "step_p95_ms": round(p95_ms, 1)}
    found = f"p50 {p50_ms:.1f} ms, p95 {p95_ms:.1f} ms of {step_ms:.0f} ms; {late} of {_STEPS} late"
    if late > _LATE_SHARE * _STEPS:
        return troubled("steps", "late_steps", f"{found}.", figures=figures)
    return Finding("steps", "ok", found, figures=figures)


def _reset(env: TrackmaniaEnv) -> None:
    """Waits for tmrl, gives the plugin time to take the new connection, and starts an episode.

    The env mends what breaks; only what breaks again is a cause, and not a busy moment of the PC.

    Raises:
        GameFaultError: it does not start.
    """
    began_s = time.monotonic()
    faults = 0
    while True:
        try:
            env.reset()
        except GameNotReadyError as fault:
            patience_s = _READY_S if fault.cause == STARTING else _SETTLE_S
            if time.monotonic() - began_s > patience_s:
                raise
        except GameFaultError:
            faults += 1
            if faults > _FORGIVEN_FAULTS:
                raise
            began_s = time.monotonic()
        else:
            return


def _short_line(bench: GameBench) -> RewardLine:
    """Returns a line of two metres at the start, for a map that has none yet."""
    assert bench.start is not None
    points = np.repeat(np.array([bench.start]), _SHORT_LINE_POINTS, axis=0)
    points[:, 0] += SPACING_M * np.arange(_SHORT_LINE_POINTS)
    return RewardLine("doctor", points)
