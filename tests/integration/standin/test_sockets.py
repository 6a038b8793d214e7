import os
import socket
from collections.abc import Iterator

import pytest

from actors.standin.gamepad import GamepadReceiver
from actors.standin.pad import A_BUTTON, B_BUTTON, Pad
from actors.standin.ports import check_free
from actors.standin.telemetry_server import TelemetryServer
from actors.standin.virtual_gamepad import VX360Gamepad
from common.errors import MachineError
from tests.support.telemetry_client import TelemetryClient
from tests.support.waiting import wait_until

MESSAGES = [bytes([number % 251]) * 44 for number in range(251)]


@pytest.fixture
def server() -> Iterator[TelemetryServer]:
    server = TelemetryServer(0)
    yield server
    server.close()


@pytest.fixture
def receiver() -> Iterator[GamepadReceiver]:
    receiver = GamepadReceiver(0)
    yield receiver
    receiver.close()


def _connected(server: TelemetryServer) -> bool:
    server.poll()
    return server.clients == 1


def test_a_client_that_does_not_read_loses_whole_messages(server: TelemetryServer) -> None:
    with TelemetryClient(server.port) as client:
        wait_until(lambda: _connected(server))
        offered = 0
        while server.messages == offered:
            server.send(MESSAGES[offered % 251])
            offered += 1
        for number in range(1000):
            server.send(MESSAGES[number % 251])
        assert server.messages < offered
        read = 0
        while read < 20_000:
            data = client.bytes(44)
            assert data in MESSAGES, "a message was cut"
            server.send(MESSAGES[read % 251])
            read += 1


def test_a_client_that_leaves_makes_room(server: TelemetryServer) -> None:
    with TelemetryClient(server.port):
        wait_until(lambda: _connected(server))
    wait_until(lambda: not _connected(server))
    server.send(MESSAGES[0])
    with TelemetryClient(server.port) as client:
        wait_until(lambda: _connected(server))
        server.send(MESSAGES[1])
        assert client.bytes(44) == MESSAGES[1]


def test_two_servers_cannot_share_a_port(server: TelemetryServer) -> None:
    with pytest.raises(MachineError, match=rf"\(pid {os.getpid()}\) has it\n"):
        TelemetryServer(server.port)
    with pytest.raises(MachineError, match="cannot have port 70000"):
        GamepadReceiver(70_000)


def test_all_ports_that_are_taken_are_named_at_once(
    server: TelemetryServer, receiver: GamepadReceiver
) -> None:
    check_free(0, 0, 0)
    with pytest.raises(
        MachineError, match=rf"port {server.port}\. The .* port {receiver.port}\."
    ) as got:
        check_free(server.port, receiver.port, 0)
    assert got.value.fix.endswith("--port 0 --pad-port 0")
    with pytest.raises(MachineError, match=rf"port {server.port}\.\n"):
        check_free(server.port, 0, 0)


def test_a_press_counts_even_if_it_is_over(
    receiver: GamepadReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APEXMANIA_PAD_PORT", str(receiver.port))
    pad = VX360Gamepad()
    pad.right_trigger_float(value_float=0.5)
    pad.left_trigger_float(value_float=0.25)
    pad.left_joystick_float(-1.0, 0.0)
    for button in (B_BUTTON, A_BUTTON):
        pad.press_button(button=button)
        pad.update()
        pad.release_button(button=button)
        pad.update()
    pressed = 0
    while receiver.datagrams < 4:
        pressed |= receiver.poll()
    assert pressed == A_BUTTON | B_BUTTON
    assert receiver.pad == Pad(gas=0.5, brake=0.25, steer=-1.0)
    assert receiver.poll() == 0
    pad.reset()
    pad.update()
    wait_until(lambda: receiver.poll() == 0 and receiver.pad == Pad())
    pad.close()


def test_strange_datagrams_change_nothing(receiver: GamepadReceiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for data in (b"", b"x", bytes(1000)):
            stranger.sendto(data, ("127.0.0.1", receiver.port))
    receiver.poll()
    assert (receiver.pad, receiver.datagrams) == (Pad(), 0)


def test_a_pad_that_nobody_listens_to_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = GamepadReceiver(0)
    monkeypatch.setenv("APEXMANIA_PAD_PORT", str(receiver.port))
    receiver.close()
    pad = VX360Gamepad()
    for _ in range(3):
        pad.update()
    pad.close()
