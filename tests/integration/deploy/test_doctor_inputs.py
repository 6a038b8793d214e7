"""What the doctor says of gas, steering and restart, on a race whose car or buttons do not work."""

import os

import pytest

from actors.standin.pad import PORT_VARIABLE
from deploy.config_file import load_config
from deploy.doctor.finding import Finding
from deploy.doctor.game_bench import GameBench
from deploy.doctor.game_subject import GameSubject
from deploy.doctor.input_checks import check_gamepad, check_inputs
from tests.support.pad_game import PadGame
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def examined(game: PadGame) -> tuple[Finding, GameBench]:
    """Returns what the check of the inputs found, and what it found it with."""
    subject = GameSubject(
        config=load_config(settings=["game.name=standin"]),
        telemetry_port=game.port,
        environment={**os.environ, PORT_VARIABLE: str(game.pad_port)},
    )
    with GameBench(subject) as bench:
        assert check_gamepad(bench).level == "ok"
        wait_until(lambda: bench.tee.latest is not None)
        return check_inputs(bench), bench


def test_a_car_that_drives_and_restarts_is_well() -> None:
    with PadGame("first-lap", begin_m=20.0) as game:
        finding, bench = examined(game)
    assert (finding.level, finding.cause) == ("ok", "")
    assert "restart" in finding.found
    assert bench.start is not None


@pytest.mark.parametrize("stuck", [False, True])
def test_a_race_that_does_not_restart_is_a_failure_also_where_the_car_is_stuck(
    *, stuck: bool
) -> None:
    with PadGame("first-lap", begin_m=20.0, stuck=stuck, restarts=False) as game:
        finding, _ = examined(game)
    assert (finding.level, finding.cause) == ("fail", "inputs_dead")
    assert "does not restart" in finding.found


def test_a_car_that_does_not_leave_the_start_is_a_warning_that_claims_no_restart() -> None:
    with PadGame("first-lap", stuck=True) as game:
        finding, bench = examined(game)
    assert finding.level == "warn"
    assert "did not move" in finding.found
    assert "restart reach" not in finding.found
    assert finding.fix
    assert bench.start is not None
