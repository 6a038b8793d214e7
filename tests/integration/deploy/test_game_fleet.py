"""Actors follow the machines of a real Ray; a cluster on which nobody drives says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.fleet import Fleet
from deploy.game_fleet import GameFleet
from deploy.placement import Seat
from deploy.ray_cluster import private_ray
from deploy.redis_listen import free_port
from deploy.roster import Roster
from replay_server.connection import connect


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(120)
def test_a_cluster_without_a_game_says_once_that_nobody_drives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.game_fleet._PERIOD_S", 0.0)
    said: list[str] = []
    started: list[tuple[str, Seat]] = []
    with private_ray(num_cpus=1, run_folder=tmp_path, logs=tmp_path):
        fleet = GameFleet(
            Fleet(),
            start=lambda name, seat: started.append((name, seat)),
            roster=Roster(),
            say=said.append,
            file=tmp_path / "seats.json",
        )
        fleet.follow()
        fleet.follow()
    assert started == []
    assert len(said) == 1
    assert said[0].startswith("No machine drives")
    assert "apexmania cluster add-actor FILE ADDRESS" in said[0]


def test_a_machine_that_comes_while_redis_is_away_drives_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its actor's user is made on Redis; the training must neither end nor count it in before."""
    monkeypatch.setattr("deploy.game_fleet._PERIOD_S", 0.0)
    nodes = {Seat("10.0.0.2", 0): "node-2", Seat("10.0.0.3", 0): "node-3"}
    monkeypatch.setattr("deploy.game_fleet.seats", lambda: nodes)
    nobody = connect(f"redis://127.0.0.1:{free_port()}/0", name="test")
    away = True
    said: list[str] = []

    def start(_: str, seat: Seat) -> None:
        if away and seat.address == "10.0.0.3":
            nobody.ping()

    roster = Roster()
    fleet = GameFleet(
        Fleet(), start=start, roster=roster, say=said.append, file=tmp_path / "seats.json"
    )
    fleet.follow()
    assert said == ["10.0.0.2 is here: actor-0 drives there."]
    assert roster.names == {"actor-0"}
    away = False
    fleet.follow()
    assert said[1:] == ["10.0.0.3 is here: actor-1 drives there."]
    assert roster.names == {"actor-0", "actor-1"}


_PROGRAM = """
import sys
from pathlib import Path
import psutil
from common.errors import MachineError
from deploy.joined_ray import require_own_node
from deploy.ray_cluster import private_ray
folder = Path(sys.argv[1])
with private_ray(num_cpus=1, run_folder=folder, logs=folder):
    require_own_node()
    raylet, = (c for c in psutil.Process().children(recursive=True) if c.name() == "raylet")
    raylet.kill()
    raylet.wait()
    try:
        require_own_node()
    except MachineError as error:
        sys.stderr.write(f"told: {error}")
        sys.stderr.flush()
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(120)
def test_the_end_of_the_own_node_is_noticed(tmp_path: Path) -> None:
    done = subprocess.run(  # a process of its own: Ray may end it with its node
        [sys.executable, "-c", _PROGRAM, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "told: The Ray node of this machine ended" in done.stderr
    assert "train --resume RUN --ray auto" in done.stderr
