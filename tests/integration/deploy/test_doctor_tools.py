import json
import os
import socket
import sys

import numpy as np
import pytest

from actors.port_holder import PortHolder, client_of, listener
from actors.standin.pad import PORT_VARIABLE, unpack_pad
from deploy.doctor.line_process import LineProcess, NoAnswerError
from deploy.doctor.picture_motion import MOVING_SHARE, changed_share

GAMEPAD = "deploy.doctor.gamepad_program"


def test_the_gamepad_program_does_what_a_line_says_and_lets_go_at_the_end() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pad:
        pad.bind(("127.0.0.1", 0))
        pad.settimeout(10.0)
        environment = {**os.environ, PORT_VARIABLE: str(pad.getsockname()[1])}
        with LineProcess(GAMEPAD, "--stand-in", environment=environment) as program:
            assert program.answer(30.0) == "ready"
            line = json.dumps({"gas": 1.0, "steer": -0.5, "button": 0x2000})
            assert program.ask(line, 10.0) == "done"
            held = unpack_pad(pad.recv(1024))
        released = unpack_pad(pad.recv(1024))
    assert held is not None
    assert (held.gas, held.steer, held.buttons) == (1.0, -0.5, 0x2000)
    assert released is not None
    assert not any(released)


def test_a_program_that_ends_gives_its_last_words() -> None:
    environment = {**os.environ, PORT_VARIABLE: "none"}
    with LineProcess(GAMEPAD, "--stand-in", environment=environment) as program:
        with pytest.raises(NoAnswerError, match="fix: export"):
            program.answer(30.0)
        with pytest.raises(NoAnswerError):
            program.ask("{}", 1.0)


def test_a_program_that_keeps_silent_is_given_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pad:
        pad.bind(("127.0.0.1", 0))
        environment = {**os.environ, PORT_VARIABLE: str(pad.getsockname()[1])}
        with LineProcess(GAMEPAD, "--stand-in", environment=environment) as program:
            assert program.answer(30.0) == "ready"
            with pytest.raises(NoAnswerError, match="no answer within 0 s"):
                program.answer(0.1)


def test_the_holder_of_a_port_is_found_by_process_id() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = listener(port)
        with socket.create_connection(("127.0.0.1", port)):
            # Our own connection does not count.
            assert client_of(port) is None
    assert holder is not None
    assert holder.pid == os.getpid()
    assert str(os.getpid()) in str(holder)
    assert listener(port) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pad:
        pad.bind(("127.0.0.1", 0))
        port = pad.getsockname()[1]
        holder = listener(port, socket.SOCK_DGRAM)
        assert listener(port) is None
    assert holder is not None
    assert holder.pid == os.getpid()


@pytest.mark.parametrize(
    ("program", "is_game"),
    [
        ("Trackmania.exe", True),
        ("python -m actors.standin.program --track", True),
        ("wine64-preloader", True),
        ("python -m http.server", False),
    ],
)
def test_the_game_is_told_from_other_programs_by_its_name(program: str, *, is_game: bool) -> None:
    assert PortHolder(1, program).may_be_the_game is is_game
    assert PortHolder(None, program).may_be_the_game


def test_a_clock_is_no_motion_and_a_new_background_is() -> None:
    still = np.full((128, 256, 3), 40, dtype=np.uint8)
    noisy = still + np.random.default_rng(0).integers(0, 8, still.shape, dtype=np.uint8)
    clock = still.copy()
    clock[110:124, 110:140] = 250
    assert changed_share(still, noisy) == 0.0
    assert 0.0 < changed_share(still, clock) < MOVING_SHARE
    assert changed_share(still, 255 - still) == 1.0
    assert changed_share(still, still[:64]) == 1.0
    assert changed_share(still, None) == 0.0


@pytest.mark.skipif(sys.platform == "win32", reason="the other half needs Windows")
def test_the_look_at_windows_refuses_to_run_elsewhere() -> None:
    from actors.trackmania.window_watch import DisplayLostError  # noqa: PLC0415 - beside its Windows half
    from actors.trackmania.window_win32 import Win32Windows  # noqa: PLC0415 - same

    with pytest.raises(DisplayLostError, match="not Windows"):
        Win32Windows()
