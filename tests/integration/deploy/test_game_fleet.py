"""Actors follow the machines of a real Ray; a cluster on which nobody drives says so."""

from pathlib import Path

import pytest

from deploy.fleet import Fleet
from deploy.game_fleet import GameFleet
from deploy.placement import Seat
from deploy.ray_cluster import private_ray
from deploy.roster import Roster


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
