import math
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from actors.sim.catalogue import load_track
from actors.standin.rig import StandInRig
from actors.standin.virtual_gamepad import VX360Gamepad
from actors.trackmania.reward_line import RewardLine
from actors.trackmania.telemetry import MESSAGE_BYTES, implausible
from actors.trackmania.window_watch import WindowFacts, WindowWatch
from tests.support.telemetry_client import TelemetryClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.display


def _xdotool(rig: StandInRig, *words: str) -> str:
    return subprocess.run(
        ["xdotool", *words],
        env={**os.environ, **rig.environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.strip()


def test_the_window_is_found_and_resized_the_way_tmrl_does(
    rig: StandInRig, watch: WindowWatch
) -> None:
    windows = _xdotool(rig, "search", "--onlyvisible", "--name", ".").split()
    assert [_xdotool(rig, "getwindowname", window) for window in windows] == ["Trackmania"]
    for words in (("windowfocus",), ("windowmove", "0", "0"), ("windowsize", "256", "128")):
        _xdotool(rig, words[0], windows[0], *words[1:])
    wait_until(lambda: watch.facts() == WindowFacts(0, 0, 256, 128))
    wait_until(lambda: rig.control.status()["window"] == [256, 128])
    frames = rig.control.status()["frames"]
    wait_until(lambda: rig.control.status()["frames"] > frames + 1)
    picture = watch.grab()
    assert picture is not None
    assert picture.shape == (128, 256, 3)
    assert picture[:20].mean() > 100, "the sky"
    assert picture[-5:].std() > 1


def test_the_gamepad_drives_and_restarts(client: TelemetryClient, pad: VX360Gamepad) -> None:
    assert client.fresh().distance_m == 0.0
    pad.right_trigger_float(value_float=1.0)
    pad.left_joystick_float(-0.5, 0.0)
    pad.update()
    while client.message().speed_mps < 8.0:
        pass
    driving = client.fresh()
    assert (driving.gas, driving.steer, driving.brake) == (1.0, -0.5, 0.0)
    pad.right_trigger_float(value_float=0.0)
    pad.left_trigger_float(value_float=0.5)
    pad.update()
    while client.message().brake != 1.0:
        pass
    pad.reset()
    pad.press_button(button=0x2000)
    pad.update()
    pad.release_button(button=0x2000)
    pad.update()
    while client.message().distance_m != 0.0:
        pass
    assert client.message().speed_mps == 0.0


def test_the_keyboard_drives_and_restarts(rig: StandInRig, client: TelemetryClient) -> None:
    _xdotool(rig, "search", "--name", "Trackmania", "windowfocus")
    _xdotool(rig, "keydown", "Up", "keydown", "Left")
    while (message := client.message()).speed_mps < 5.0:
        assert implausible(message) is None
    assert (message.gas, message.steer) == (1.0, -1.0)
    _xdotool(rig, "keyup", "Up", "keyup", "Left")
    while client.message().gas != 0.0:
        pass
    restarts = rig.control.status()["restarts"]
    _xdotool(rig, "key", "BackSpace")
    wait_until(lambda: rig.control.status()["restarts"] == restarts + 1)


def test_one_client_is_served_and_the_next_one_after_it(rig: StandInRig) -> None:
    with TelemetryClient(rig.telemetry_port) as first:
        first.message()
        with TelemetryClient(rig.telemetry_port) as second:
            assert second.bytes_within(0.4) == 0
            first.close()
            assert implausible(second.message()) is None


def test_picture_and_telemetry_are_of_the_same_race(
    client: TelemetryClient, pad: VX360Gamepad, watch: WindowWatch
) -> None:
    client.message()
    before = watch.grab()
    pad.right_trigger_float(1.0)
    pad.update()
    while client.message().distance_m < 20.0:
        pass
    after = watch.grab()
    assert before is not None
    assert after is not None
    assert not np.array_equal(before, after)


def test_a_stranger_on_the_control_port_is_shown_out(rig: StandInRig) -> None:
    with TelemetryClient(rig.control.port) as stranger:
        stranger._socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert stranger.bytes(MESSAGE_BYTES) == b""
    with TelemetryClient(rig.control.port) as stranger:
        stranger._socket.sendall(b'{"command": "fault", "name": "stall", "seconds": "x"}\n')
        assert b'"ok": false' in stranger._socket.recv(4096)
    assert rig.control.status()["faults"] == []


@pytest.mark.slow
def test_the_autopilot_drives_laps_that_a_client_can_follow(tmp_path: Path) -> None:
    track = load_track("first-lap")
    with (
        StandInRig("first-lap", folder=tmp_path, autopilot=True) as rig,
        TelemetryClient(rig.telemetry_port) as client,
    ):
        lap = [client.message()]
        while not lap[-1].finished:
            lap.append(client.message())
        assert [implausible(message) for message in lap] == [None] * len(lap)
        line = RewardLine.from_track(track).points
        end = lap[-1]
        assert math.dist(line[-1], (end.x, end.y, end.z)) < 10.0
        assert end.distance_m == pytest.approx(track.length_m, rel=0.05)
        lap_ms = rig.control.status()["lap_time_ms"]
        racing = sum(message.distance_m > 0.0 for message in lap)
        assert racing / 60 <= lap_ms / 1000 + 0.05, "no more messages than pictures"
        while (message := client.message()).finished:
            assert message.distance_m >= end.distance_m
        assert message.distance_m == 0.0
