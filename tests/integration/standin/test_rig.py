import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from actors.standin.rig import StandInRig
from actors.standin.virtual_display import VirtualDisplay
from actors.standin.virtual_gamepad import VX360Gamepad
from actors.trackmania.telemetry import implausible
from actors.trackmania.window_watch import find_window
from common.errors import ConfigError, MachineError
from tests.support.telemetry_client import TelemetryClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.display

OWNER = """
import json, sys, time
from pathlib import Path
from actors.standin.rig import StandInRig
rig = StandInRig("oval", folder=Path(sys.argv[1]))
rig.start()
print(json.dumps(rig.pids), flush=True)
time.sleep(600)
"""
COMMAND = "import sys; from deploy.cli import main; sys.exit(main(sys.argv[1:]))"


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_two_rigs_do_not_meet(tmp_path: Path) -> None:
    with (
        StandInRig("first-lap", folder=tmp_path / "a") as one,
        StandInRig("oval", folder=tmp_path / "b") as two,
    ):
        rigs = (one, two)
        assert one.display != two.display
        ports = {port for rig in rigs for port in (rig.telemetry_port, rig.control.port)}
        assert len(ports) == 4
        assert [rig.control.status()["track"] for rig in rigs] == ["first-lap", "oval"]
        for rig in rigs:
            assert find_window(display=rig.display) is not None
            with TelemetryClient(rig.telemetry_port) as client:
                assert implausible(client.message()) is None
        one.control.fault("stall")
        wait_until(lambda: one.control.status()["faults"] == ["stall"])
        assert two.control.status()["faults"] == []
        pids = (*one.pids, *two.pids)
    assert all(_gone(pid) for pid in pids)


def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        pids = json.loads(owner.stdout.readline())
        assert len(pids) == 2
        assert not any(_gone(pid) for pid in pids)
        owner.kill()
    wait_until(lambda: all(_gone(pid) for pid in pids))


def test_faults_can_be_planned(tmp_path: Path) -> None:
    with StandInRig("oval", folder=tmp_path, faults=["slow@0+900", "close@1.5"]) as rig:
        assert rig.control.status()["faults"] == ["slow"]
        wait_until(lambda: not rig.game_alive)
        assert rig.display_alive


def test_a_dead_display_ends_the_game(tmp_path: Path) -> None:
    with StandInRig("oval", folder=tmp_path) as rig:
        os.kill(rig.pids[0], signal.SIGKILL)
        wait_until(lambda: not rig.game_alive)
        assert not rig.display_alive
        with pytest.raises(MachineError, match="is gone"):
            rig.restart_game()
    assert "does not answer" in (tmp_path / "standin.log").read_text()


def test_a_frozen_process_is_ended_all_the_same(tmp_path: Path) -> None:
    with StandInRig("oval", folder=tmp_path) as rig:
        game = rig.pids[1]
        os.kill(game, signal.SIGSTOP)
    assert _gone(game)


def test_what_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no fault"):
        StandInRig("oval", folder=tmp_path, faults=["nap"])
    with (
        pytest.raises(ConfigError, match="no track 'ovla'"),
        StandInRig("ovla", folder=tmp_path),
    ):
        pass
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="apt-get install"):
        VirtualDisplay(log=tmp_path / "log").start()


def test_a_gamepad_without_a_port_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APEXMANIA_PAD_PORT", raising=False)
    with pytest.raises(ConfigError, match="APEXMANIA_PAD_PORT"):
        VX360Gamepad()


def test_the_command_starts_a_display_plays_and_ends_on_ctrl_c() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    words = [sys.executable, "-c", COMMAND, "game", "standin", "--track", "oval", "--port", "0"]
    words += ["--pad-port", "0", "--control-port", "0"]
    game = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    assert game.stdout is not None
    with game, game.stdout:
        printed = ""
        while "racing" not in printed:
            line = game.stdout.readline()
            assert line, printed
            printed += line
        assert "private display" in printed
        control = printed.split("--control ")[1].split()[0]
        words = [sys.executable, "-c", COMMAND, "game", "fault", "stall", "--control", control]
        said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        assert "stall: the plugin sends nothing" in said.stdout
        assert "faults: stall" in game.stdout.readline()
        game.send_signal(signal.SIGINT)
        assert "it was told to stop" in game.stdout.read()
        assert game.wait(timeout=30) == 0


def test_the_command_names_who_has_the_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = [sys.executable, "-c", COMMAND, "game", "standin", "--port", port]
        result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == MachineError.exit_code
    assert f"pid {os.getpid()}" in result.stderr
    assert "--port 0" in result.stderr
