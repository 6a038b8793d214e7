"""Each cause is provoked on a running stand-in, and the doctor has to name it and no other."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from actors.sim.catalogue import load_track
from actors.standin.rig import StandInRig
from actors.trackmania.game_trouble import TROUBLES
from actors.trackmania.reward_line import RewardLine, save_line
from common.config import Config
from deploy import cli
from deploy.command_logging import log_to_stderr
from deploy.config_file import load_config
from deploy.doctor import machine
from deploy.doctor.examination import examine_stand_in
from deploy.doctor.finding import Finding
from deploy.doctor.game_examination import GAME_CHECKS, GAME_LINK, examine_game
from deploy.doctor.game_subject import GameSubject
from deploy.doctor.own_stand_in import subject_of

pytestmark = [pytest.mark.slow, pytest.mark.display]

ROOT = Path(__file__).parents[3]
STAND_IN = "game.name=standin"
FIGURES = {
    "telemetry_hz",
    "echo_ms",
    "step_p50_ms",
    "step_p95_ms",
    "policy_p50_ms",
    "policy_p95_ms",
}
HUGE_NETWORK = (
    "network.conv_channels=[256,256,256,256]",
    "network.conv_strides=[1,1,1,2]",
    "network.hidden=16",
)
HOLD_THE_SLOT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""
LISTEN_AND_KEEP_SILENT = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
connections = []
while True:
    connections.append(server.accept())
"""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with log_to_stderr(logging.ERROR):
        yield


@pytest.fixture
def config() -> Config:
    # A busy machine makes every policy slow; what is slow of itself is examined with the usual budget.
    return load_config(settings=[STAND_IN, "game.trackmania.capture_s=0.01"])


@contextmanager
def stand_in(folder: Path, *faults: str) -> Iterator[StandInRig]:
    with StandInRig("first-lap", folder=folder, faults=faults) as rig:
        yield rig


def check_that_only(findings: list[Finding], cause: str, *, at: str) -> Finding:
    """Sees that one cause failed, that it can be mended, and that the skipped checks name it."""
    failed = [finding for finding in findings if finding.level == "fail"]
    assert [(finding.check, finding.cause) for finding in failed] == [(at, cause)]
    assert failed[0].fix == TROUBLES[cause].fix
    assert failed[0].docs == TROUBLES[cause].anchor
    assert TROUBLES[cause].meaning in failed[0].found
    for finding in findings:
        assert finding.level in {"ok", "fail", "skip"}, finding
        assert finding.level != "skip" or finding.found == f"skipped: needs {at}"
    assert [finding.check for finding in findings] == [check.name for check in GAME_CHECKS]
    return failed[0]


@contextmanager
def again_and_again(strike: Callable[[], object]) -> Iterator[None]:
    """Lets a momentary fault happen until somebody must have seen it."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.4):
            strike()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def program(text: str, port: int) -> Iterator[int]:
    """Runs another program until the end of the block and yields its process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def connection_is_free(rig: StandInRig) -> bool:
    """Returns whether the doctor gave the plugin's only connection back."""
    end_s = time.monotonic() + 5.0
    while rig.control.status()["clients"]:
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def without_module(subject: GameSubject, folder: Path, module: str) -> GameSubject:
    """Puts a module that does not import before the real one."""
    shadow = folder / "shadow"
    shadow.mkdir()
    (shadow / f"{module}.py").write_text(f"raise ImportError('no {module} for this test')\n")
    paths = os.pathsep.join(filter(None, (str(shadow), os.environ.get("PYTHONPATH", ""))))
    return replace(subject, environment={**subject.environment, "PYTHONPATH": paths})


def test_a_healthy_game_passes_and_its_figures_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = cli.main(["doctor", "--role", "actor", "--game", "standin", "--json"])
    report = json.loads(capsys.readouterr().out)
    by_name = {check["check"]: check for check in report["checks"]}
    game = {check.name: by_name[check.name]["level"] for check in GAME_CHECKS}
    assert game == dict.fromkeys(game, "ok"), report
    assert set(report) == {"ok", "role", "game", "figures", "checks"}
    assert (report["role"], report["game"]) == ("actor", "standin")
    assert set(report["figures"]) == FIGURES
    assert {"check", "level", "found", "fix", "cause", "docs", "figures"} == set(by_name["steps"])
    assert report["ok"] == (code == 0)


def test_a_game_that_somebody_else_started_is_examined_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "vgamepad.py").write_text("from actors.standin.virtual_gamepad import VX360Gamepad\n")
    line = tmp_path / "lines" / "first-lap.npz"
    save_line(RewardLine.from_track(load_track("first-lap")), line)
    monkeypatch.setattr(machine, "CHECKS", {"ports": machine.CHECKS["ports"]})
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{shadow}")
    with stand_in(tmp_path) as rig:
        for name, value in rig.environment().items():
            monkeypatch.setenv(name, value)
        words = ["doctor", "--game", "tm20", "--json", "--port", str(rig.telemetry_port)]
        words += ["--reward-line", str(line.parent)]
        words += [f"--set=game.trackmania.screen_{axis}_offset=0" for axis in "xy"]
        code = cli.main(words)
    report = json.loads(capsys.readouterr().out)
    assert {check["level"] for check in report["checks"]} == {"ok"}, report
    assert (code, report["ok"], report["game"]) == (0, True, "tm20")


@pytest.mark.parametrize(
    ("fault", "cause", "check"),
    [
        ("window", "window_missing", "game window"),
        ("stubborn", "window_size", "window size"),
        ("stall", "telemetry_silent", "telemetry"),
        ("menu", "not_on_map", "telemetry"),
        ("freeze", "game_frozen", "telemetry"),
        ("map", "other_map", "map"),
        ("deaf", "inputs_dead", "inputs"),
        ("slow", "late_steps", "steps"),
    ],
)
def test_a_lasting_fault_of_the_game_is_named(
    fault: str, cause: str, check: str, config: Config, tmp_path: Path
) -> None:
    with stand_in(tmp_path, fault) as rig:
        findings = examine_game(subject_of(rig, config))
    check_that_only(findings, cause, at=check)


@pytest.mark.parametrize(
    ("fault", "cause"), [("misframe", "telemetry_misframed"), ("drop", "telemetry_closed")]
)
def test_a_stream_that_breaks_is_named(
    fault: str, cause: str, config: Config, tmp_path: Path
) -> None:
    with stand_in(tmp_path) as rig, again_and_again(lambda: rig.control.fault(fault)):
        findings = examine_game(subject_of(rig, config))
    check_that_only(findings, cause, at="telemetry")


def test_a_port_on_which_nobody_listens_is_refused(config: Config, tmp_path: Path) -> None:
    with stand_in(tmp_path) as rig:
        subject = replace(subject_of(rig, config), telemetry_port=free_port())
        findings = examine_game(subject)
    found = check_that_only(findings, "telemetry_refused", at="telemetry port").found
    assert str(subject.telemetry_port) in found


def test_a_program_that_holds_the_only_connection_is_named(config: Config, tmp_path: Path) -> None:
    with stand_in(tmp_path) as rig, program(HOLD_THE_SLOT, rig.telemetry_port) as pid:
        findings = examine_game(subject_of(rig, config))
    assert f"pid {pid}" in check_that_only(findings, "port_taken", at="telemetry port").found


def test_a_program_that_listens_in_the_place_of_the_plugin_is_named(
    config: Config, tmp_path: Path
) -> None:
    port = free_port()
    with stand_in(tmp_path) as rig, program(LISTEN_AND_KEEP_SILENT, port) as pid:
        findings = examine_game(replace(subject_of(rig, config), telemetry_port=port))
    assert f"pid {pid}" in check_that_only(findings, "port_taken", at="telemetry").found


def test_a_tmrl_that_does_not_import_is_named(config: Config, tmp_path: Path) -> None:
    with stand_in(tmp_path) as rig:
        findings = examine_game(without_module(subject_of(rig, config), tmp_path, "tmrl"))
    found = check_that_only(findings, "tmrl_missing", at="tmrl").found
    assert "no tmrl for this test" in found


def test_a_missing_gamepad_driver_is_named(config: Config, tmp_path: Path) -> None:
    real_gamepad = config.model_copy(update={"game": load_config(settings=["game.name=tm20", "game.trackmania.screen_x_offset=0", "game.trackmania.screen_y_offset=0"]).game})  # fmt: skip
    with stand_in(tmp_path) as rig:
        subject = replace(subject_of(rig, config), config=real_gamepad)
        findings = examine_game(without_module(subject, tmp_path, "vgamepad"))
    found = check_that_only(findings, "gamepad_missing", at="gamepad").found
    assert "no vgamepad for this test" in found


def test_a_network_that_is_too_slow_for_the_step_is_named(tmp_path: Path) -> None:
    config = load_config(settings=[STAND_IN, *HUGE_NETWORK])
    with stand_in(tmp_path) as rig:
        findings = examine_game(subject_of(rig, config))
        assert connection_is_free(rig)
    slow = check_that_only(findings, "policy_slow", at="policy")
    assert slow.figures["policy_p95_ms"] > 10.0


def test_a_screen_that_is_gone_is_named(config: Config, tmp_path: Path) -> None:
    with stand_in(tmp_path) as rig:
        subject = subject_of(rig, config)
    findings = examine_game(subject)
    check_that_only(findings, "display_lost", at="screen")


@pytest.mark.parametrize("with_tmrl", [True, False])
def test_a_machine_without_any_screen_is_told_so_in_one_finding(
    monkeypatch: pytest.MonkeyPatch, *, with_tmrl: bool
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if not with_tmrl:
        monkeypatch.setitem(sys.modules, "tmrl", None)
    config = load_config(settings=["game.name=tm20"])
    (finding,) = examine_game(GameSubject(config=config, telemetry_port=free_port()))
    assert (finding.check, finding.level) == (GAME_LINK, "fail")
    assert ("nor tmrl" in finding.found) is not with_tmrl
    assert "--role learner" in finding.fix


def test_the_command_prints_fix_and_documentation_and_exits_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(machine, "CHECKS", {"ports": machine.CHECKS["ports"]})
    assert cli.main(["doctor", "--role", "replay"]) == 0
    assert GAME_LINK not in capsys.readouterr().out
    assert cli.main(["doctor", "--role", "all", "--game", "tm20"]) == 3
    out = capsys.readouterr().out
    assert f"fail  {GAME_LINK}" in out
    assert "fix: " in out
    assert "see: docs/tm20.md#display_lost" in out


def test_a_stand_in_that_cannot_start_is_a_finding_too(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = examine_stand_in(config)
    assert (finding.check, finding.level) == ("stand-in", "fail")
    assert "xvfb" in finding.fix
