"""Whatever breaks between the actor and the game: noticed, told, mended, and nothing left behind.

The deadline is that of the contract, two seconds to notice, and what this process was kept waiting by a
machine that does other things besides; ``tests.benchmarks.bench_game_faults`` prints the table of a quiet one.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest
import redis

from actors.game_contract import GameFaultError
from common.config import Config
from common.contract import Contract
from common.game_config import GameConfig
from common.keys import Keys
from common.segment import SegmentMeta
from tests.support.actor_run import NETWORK, actor_thread, contract_of, heart_of, logged, until
from tests.support.fault_trials import BREAKS, Trials

pytestmark = [pytest.mark.display, pytest.mark.chaos, pytest.mark.slow]

NOTICED_S = 2.0
DRIVING_S = 120.0
"""Eight seconds on a quiet machine, most of it tmrl's import; a busy one only has to get there."""
CAUSES = {
    "telemetry connection dropped": {"telemetry_closed"},
    "telemetry silent": {"telemetry_stalled"},
    "telemetry misframed": {"telemetry_misframed"},
    "game frozen": {"telemetry_stalled"},
    "game closed": {"telemetry_closed", "window_missing"},
    "game killed": {"telemetry_closed", "window_missing"},
    "game stopped": {"telemetry_stalled"},
    "window gone": {"window_missing"},
    "menu opened": {"telemetry_stalled"},
    "another map loaded": {"car_jumped"},
    "gamepad not heard": {"inputs_dead"},
    "display killed": {"display_lost", "window_missing", "telemetry_closed"},
    "display stopped": {"telemetry_stalled", "display_lost"},
    "env child killed": {"child_died"},
    "env child stopped": {"child_hung"},
}


def family() -> set[int]:
    """Process ids of env children, games and displays that this process has started."""
    words = {
        "actors.trackmania.env_child",
        "actors.standin.program",
        "/bin/bash",
        "xdotool",
        "-displayfd",
    }
    return {
        child.pid
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and words & set(child.cmdline())
    }


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    before, threads = family(), set(threading.enumerate())
    trials = Trials()
    yield trials
    trials.close()
    assert family() <= before
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize("name", BREAKS)
def test_a_fault_is_noticed_and_mended(trials: Trials, name: str) -> None:
    outcome = trials.run(name)
    assert outcome.cause in CAUSES[name]
    assert outcome.noticed_s < NOTICED_S + outcome.unserved_s
    assert outcome.driving_s < DRIVING_S
    assert outcome.left == ()


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("display killed", "display_lost"),
        ("display stopped", "display_lost"),
        ("game killed", "telemetry_closed"),
        ("window gone", "window_missing"),
        ("env child killed", "child_died"),
        ("env child stopped", "child_hung"),
    ],
)
def test_a_fault_between_two_attempts_is_named_and_mended(
    trials: Trials, name: str, cause: str
) -> None:
    causes, driving_s = trials.run_between(name)
    assert cause in causes
    assert driving_s < DRIVING_S


def test_a_stand_in_that_does_not_come_back_is_tried_again(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trials.link.reset() is not None
    before = trials.rig.telemetry_port
    with monkeypatch.context() as broken:
        broken.setenv("PATH", "")  # neither Xvfb nor xdotool is found
        os.kill(trials.rig.pids[0], signal.SIGKILL)
        assert trials.drive(20) != ""
        causes = set()
        for _ in range(4):
            with pytest.raises(GameFaultError) as caught:
                trials.env.reset()
            causes.add(caught.value.cause)
    assert "standin_failed" in causes
    assert trials.link.reset() is not None
    assert trials.rig.telemetry_port != before
    assert trials.drive(20) == ""


def test_a_window_that_refuses_its_size_is_started_again(trials: Trials) -> None:
    assert trials.link.reset() is not None
    trials.rig.control.fault("stubborn")
    os.kill(trials.env.child_pid, signal.SIGKILL)  # only a new child resizes the window
    faults = trials.link.fault_causes["window_size"]
    assert trials.drive(20) == "child_died"
    assert trials.link.reset() is not None
    assert trials.link.fault_causes["window_size"] == faults + 1
    assert trials.drive(20) == ""


def test_the_episode_that_a_fault_cut_is_truncated_and_says_why(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    config = Config(game=GameConfig(name="standin"), network=NETWORK)
    contract = contract_of(config)
    others = family()
    with actor_thread(config, contract, url=redis_url, keys=keys) as actor:
        until(lambda: int(str(heart_of(connection, keys).get("env_steps", 0))) > 30, DRIVING_S)
        child = next(
            process
            for process in psutil.Process().children(recursive=True)
            if process.pid not in others and "actors.trackmania.env_child" in process.cmdline()
        )
        child.kill()
        until(lambda: heart_of(connection, keys).get("faults") == 1, 30.0)
        until(lambda: heart_of(connection, keys).get("game_state") == "driving", DRIVING_S)
        heart = heart_of(connection, keys)
        until(lambda: len(ends(connection, keys, contract)) > 0)
    assert actor.error is None
    assert actor.report is not None
    assert (actor.report.fault_causes, actor.report.env_restarts) == ({"child_died": 1}, 1)
    assert (heart["fault_causes"], heart["env_restarts"]) == ({"child_died": 1}, 1)
    reason, meta = ends(connection, keys, contract)[0]
    assert (reason, meta.truncated, meta.terminated) == ("fault:child_died", True, False)


def ends(connection: redis.Redis, keys: Keys, contract: Contract) -> list[tuple[str, SegmentMeta]]:
    segments = logged(connection, keys, contract)
    return [(s.meta.end.reason, s.meta) for s in segments if s.meta.end is not None]


_ACTOR = """
import sys, threading
from actors.game_link import GameLink
from actors.games import make_game
from common.contract import Contract
from common.game_config import GameConfig
game = make_game(GameConfig(name="standin"), training=True, seed=None)
link = GameLink(lambda: game, stop=threading.Event())
assert link.reset() is not None
print("driving", flush=True)
while True:
    if any(link.step(1)[2:4]):
        link.reset()
"""


@pytest.mark.parametrize("stopped_first", [False, True])
def test_nothing_outlives_an_actor_that_is_killed(stopped_first: bool) -> None:  # noqa: FBT001 - a parameter of the test
    actor = subprocess.Popen([sys.executable, "-c", _ACTOR], stdout=subprocess.PIPE)
    assert actor.stdout is not None
    while line := actor.stdout.readline():
        if line.strip() == b"driving":
            break
    started = psutil.Process(actor.pid).children(recursive=True)
    names = {" ".join(process.cmdline()) for process in started}
    assert any("actors.trackmania.env_child" in name for name in names)
    assert any("Xvfb" in name for name in names)
    if stopped_first:
        for process in started:
            process.suspend()
    actor.kill()
    actor.wait()
    actor.stdout.close()
    until(lambda: not any(alive(process) for process in started), 10.0)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
