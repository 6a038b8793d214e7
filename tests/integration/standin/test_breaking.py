import math
import os
import subprocess
import time

import numpy as np
import pytest

from actors.standin.rig import StandInRig
from actors.standin.virtual_gamepad import VX360Gamepad
from actors.standin.window import NATIVE_SIZE
from actors.trackmania.telemetry import MESSAGE_BYTES, implausible, unpack
from actors.trackmania.window_watch import WindowWatch
from common.errors import ConfigError, UnreachableError
from deploy import cli
from tests.support.telemetry_client import TelemetryClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.display


def _active(rig: StandInRig) -> list[str]:
    faults: list[str] = rig.control.status()["faults"]
    return faults


def _picture(watch: WindowWatch) -> np.ndarray:
    picture = watch.grab()
    assert picture is not None
    return picture


def _drive(pad: VX360Gamepad, client: TelemetryClient) -> None:
    """Gets the car moving, so that pictures differ."""
    pad.right_trigger_float(1.0)
    pad.update()
    while client.message().speed_mps < 5.0:
        pass


def test_drop_closes_the_connection_once(rig: StandInRig, client: TelemetryClient) -> None:
    client.message()
    rig.control.fault("drop")
    while client.bytes(MESSAGE_BYTES):
        pass
    with TelemetryClient(rig.telemetry_port) as again:
        assert [implausible(again.message()) for _ in range(30)] == [None] * 30


def test_stall_silences_the_plugin_only(
    rig: StandInRig, client: TelemetryClient, pad: VX360Gamepad, watch: WindowWatch
) -> None:
    _drive(pad, client)
    rig.control.fault("stall")
    wait_until(lambda: _active(rig) == ["stall"])
    before = _picture(watch)
    assert client.bytes_within(0.5) == 0
    assert not np.array_equal(before, _picture(watch))
    rig.control.heal()
    assert implausible(client.message()) is None


def test_freeze_stops_everything_and_ends_by_itself(
    rig: StandInRig, client: TelemetryClient, pad: VX360Gamepad, watch: WindowWatch
) -> None:
    _drive(pad, client)
    rig.control.fault("freeze", 2.0)
    wait_until(lambda: _active(rig) == ["freeze"])
    before, there = _picture(watch), rig.control.status()
    pad.press_button(0x2000)
    pad.update()
    assert client.bytes_within(0.5) == 0
    assert np.array_equal(before, _picture(watch))
    assert rig.control.status()["position"] == there["position"]
    wait_until(lambda: not _active(rig))
    assert client.message().distance_m >= there["distance_m"]
    assert rig.control.status()["restarts"] == there["restarts"]


def test_window_is_gone_until_it_is_healed(
    rig: StandInRig, client: TelemetryClient, watch: WindowWatch
) -> None:
    rig.control.fault("window")
    wait_until(lambda: watch.facts() is None)
    assert rig.control.status()["window"] is None
    assert implausible(client.fresh()) is None
    rig.control.heal()
    wait_until(lambda: watch.facts() is not None)
    assert rig.control.status()["window"] == list(NATIVE_SIZE)


def test_misframe_shifts_the_stream_for_ever(rig: StandInRig, client: TelemetryClient) -> None:
    client.message()
    rig.control.fault("misframe")
    while implausible(client.message()) is None:
        pass
    stream = client.bytes(MESSAGE_BYTES * 20)

    def verdicts(shift: int) -> list[str | None]:
        starts = range(shift, len(stream) - MESSAGE_BYTES + 1, MESSAGE_BYTES)
        return [implausible(unpack(stream[at : at + MESSAGE_BYTES])) for at in starts]

    assert all(verdicts(0))
    assert not any(verdicts(MESSAGE_BYTES - 1))


def test_a_misframe_without_a_client_waits_until_it_is_healed(
    rig: StandInRig, capsys: pytest.CaptureFixture[str]
) -> None:
    control = f"--control={rig.control.port}"
    assert cli.main(["game", "fault", "drop", control]) == 0
    assert cli.main(["game", "fault", "misframe", control]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "drop: no client is connected"
    assert said[1].startswith("misframe: no client is connected; the next one gets it")
    wait_until(lambda: rig.control.status()["pending"] == ["misframe"])
    rig.control.heal()
    assert rig.control.status()["pending"] == []
    with TelemetryClient(rig.telemetry_port) as client:
        assert [implausible(client.message()) for _ in range(30)] == [None] * 30


def test_close_exits_and_the_game_starts_anew_at_the_same_place(rig: StandInRig) -> None:
    display, port, pad_port, control = (
        rig.display,
        rig.telemetry_port,
        rig.pad_port,
        rig.control.port,
    )
    rig.control.fault("close")
    wait_until(lambda: not rig.game_alive)
    assert rig.display_alive
    with pytest.raises(UnreachableError):
        rig.control.status()
    with pytest.raises(ConnectionRefusedError):
        TelemetryClient(port)
    rig.restart_game()
    assert (rig.display, rig.telemetry_port) == (display, port)
    assert (rig.pad_port, rig.control.port) == (pad_port, control)
    with TelemetryClient(port) as client:
        assert implausible(client.message()) is None


def test_map_puts_the_car_on_another_map(rig: StandInRig, client: TelemetryClient) -> None:
    here = client.message()
    rig.control.fault("map")
    wait_until(lambda: rig.control.status()["track"] != "first-lap")
    there = client.fresh()
    assert implausible(there) is None
    assert math.dist(here[2:5], there[2:5]) > 50.0
    rig.control.heal()
    wait_until(lambda: rig.control.status()["track"] == "first-lap")
    assert math.dist(here[2:5], client.fresh()[2:5]) < 1.0


def test_menu_moves_but_has_no_car(
    rig: StandInRig, client: TelemetryClient, watch: WindowWatch
) -> None:
    client.message()
    rig.control.fault("menu")
    wait_until(lambda: rig.control.status()["state"] == "menu")
    before = _picture(watch)
    assert client.bytes_within(0.5) == 0
    assert not np.array_equal(before, _picture(watch))
    assert rig.control.status()["position"] is None
    rig.control.heal()
    assert client.message().distance_m == 0.0
    assert rig.control.status()["state"] == "countdown"


def test_deaf_ignores_the_gamepad(
    rig: StandInRig, client: TelemetryClient, pad: VX360Gamepad
) -> None:
    rig.control.fault("deaf")
    wait_until(lambda: _active(rig) == ["deaf"])
    restarts = rig.control.status()["restarts"]
    pad.right_trigger_float(1.0)
    pad.press_button(0x2000)
    pad.update()
    time.sleep(0.2)
    message = client.fresh()
    assert (message.gas, message.speed_mps) == (0.0, 0.0)
    assert rig.control.status()["restarts"] == restarts
    rig.control.heal()
    wait_until(lambda: client.fresh().gas == 1.0)


def test_stubborn_undoes_every_resizing(rig: StandInRig, watch: WindowWatch) -> None:
    def resize(width: int, height: int) -> None:
        words = ["xdotool", "search", "--name", "Trackmania", "windowsize", str(width), str(height)]
        environment = {**os.environ, **rig.environment()}
        subprocess.run(words, env=environment, check=True, timeout=30)

    def size() -> tuple[int, int]:
        facts = watch.facts()
        assert facts is not None
        return facts.width, facts.height

    resize(256, 128)
    wait_until(lambda: size() == (256, 128))
    rig.control.fault("stubborn")
    wait_until(lambda: size() == NATIVE_SIZE)
    resize(256, 128)
    wait_until(lambda: size() == NATIVE_SIZE)
    time.sleep(0.3)
    assert size() == NATIVE_SIZE
    rig.control.heal()
    wait_until(lambda: not _active(rig))
    resize(256, 128)
    wait_until(lambda: size() == (256, 128))


def test_slow_sends_five_times_a_second(rig: StandInRig, client: TelemetryClient) -> None:
    rig.control.fault("slow")
    wait_until(lambda: _active(rig) == ["slow"])
    client.message()
    assert client.bytes_within(2.0) <= 12 * MESSAGE_BYTES
    assert implausible(client.message()) is None


def test_several_faults_hold_at_once_and_are_healed_together(rig: StandInRig) -> None:
    rig.control.fault("stall")
    rig.control.fault("deaf")
    wait_until(lambda: _active(rig) == ["stall", "deaf"])
    rig.control.heal()
    wait_until(lambda: _active(rig) == [])


def test_an_unknown_fault_is_refused(rig: StandInRig) -> None:
    with pytest.raises(ConfigError, match="no fault"):
        rig.control.fault("nap")
    assert _active(rig) == []
