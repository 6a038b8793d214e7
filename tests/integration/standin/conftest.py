"""One stand-in for the tests of a module, healed and at the start before each of them."""

from collections.abc import Iterator

import pytest

from actors.standin.rig import StandInRig
from actors.standin.virtual_gamepad import VX360Gamepad
from actors.trackmania.window_watch import WindowWatch
from tests.support.telemetry_client import TelemetryClient
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def module_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInRig]:
    with StandInRig("first-lap", folder=tmp_path_factory.mktemp("rig")) as rig:
        yield rig


@pytest.fixture
def rig(module_rig: StandInRig) -> StandInRig:
    if not module_rig.game_alive:
        module_rig.restart_game()
    module_rig.control.heal()
    wait_until(lambda: module_rig.control.status()["track"] == "first-lap")
    wait_until(lambda: module_rig.control.status()["clients"] == 0)
    module_rig.control.restart_race()
    return module_rig


@pytest.fixture
def pad(rig: StandInRig, monkeypatch: pytest.MonkeyPatch) -> Iterator[VX360Gamepad]:
    for name, value in rig.environment().items():
        monkeypatch.setenv(name, value)
    gamepad = VX360Gamepad()
    gamepad.update()
    yield gamepad
    gamepad.reset()
    gamepad.update()
    gamepad.close()


@pytest.fixture
def client(rig: StandInRig) -> Iterator[TelemetryClient]:
    with TelemetryClient(rig.telemetry_port) as client:
        yield client


@pytest.fixture
def watch(rig: StandInRig) -> Iterator[WindowWatch]:
    with WindowWatch(display=rig.display) as watch:
        yield watch
