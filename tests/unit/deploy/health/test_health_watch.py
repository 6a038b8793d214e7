import time
from pathlib import Path
from typing import Any

import pytest

from common.config import Config
from common.health_config import AlertsConfig
from deploy.health import health_watch
from deploy.health.alerts import Alerts
from deploy.health.health_watch import HealthWatch
from deploy.health.recorded_health import read_health
from deploy.run_files import read_rows
from deploy.run_folder import RunFolder
from deploy.run_progress import RunProgress

HEART = {
    "fps": 20.0, "epoch": 1, "env_steps": 5, "late_steps": 0, "staleness": 0, "spooled_bytes": 0,
    "dropped_transitions": 0, "weights_corrupt": 0, "weights_refused": 0, "faults": 0,
}  # fmt: skip
PERIOD_S = 0.2


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[HealthWatch, list[str], Path]:
    monkeypatch.setattr(health_watch, "PERIOD_S", PERIOD_S)
    said: list[str] = []
    alerts = Alerts(AlertsConfig(), webhook="")
    watch = HealthWatch(
        RunFolder(tmp_path), Config(), progress=RunProgress(), alerts=alerts, say=said.append
    )
    return watch, said, tmp_path


def _resumed(folder: Path, said: list[str]) -> HealthWatch:
    alerts = Alerts(AlertsConfig(), webhook="")
    return HealthWatch(
        RunFolder(folder), Config(), progress=RunProgress(), alerts=alerts, say=said.append
    )


def _rows(folder: Path) -> list[dict[str, Any]]:
    return list(read_rows(folder / "fleet.jsonl"))


def test_a_lost_actor_is_named_once_and_so_is_its_return(
    rig: tuple[HealthWatch, list[str], Path],
) -> None:
    watch, said, folder = rig
    for hearts in ({"actor-3": HEART}, {}, {}, {"actor-3": HEART}, {"actor-3": HEART}):
        time.sleep(1.2 * PERIOD_S)
        watch.look(hearts)
    assert len(_rows(folder)) == 5
    assert [line.splitlines()[0].partition(" (actors")[0] for line in said] == [
        "RED actor_lost: 1 (actor-3)",
        "HEALED actor_lost: 0",
    ]


def test_an_actor_that_says_it_leaves_between_two_looks_is_not_missed(
    rig: tuple[HealthWatch, list[str], Path],
) -> None:
    watch, said, folder = rig
    time.sleep(1.2 * PERIOD_S)
    watch.look({"actor-3": HEART})
    watch.look({"actor-3": HEART | {"leaving": True}})
    for _ in range(2):
        time.sleep(1.2 * PERIOD_S)
        watch.look({"actor-0": HEART})
    assert _rows(folder)[-1]["actors_lost"] == []
    assert said == []


def test_nobody_is_judged_before_anybody_was_heard_of(
    rig: tuple[HealthWatch, list[str], Path],
) -> None:
    watch, _, folder = rig
    time.sleep(1.2 * PERIOD_S)
    watch.look({})
    assert not (folder / "fleet.jsonl").exists()


def test_while_redis_is_away_nobody_counts_as_lost_nor_right_after(
    rig: tuple[HealthWatch, list[str], Path],
) -> None:
    watch, said, folder = rig
    time.sleep(1.2 * PERIOD_S)
    watch.look({"actor-3": HEART})
    time.sleep(1.2 * PERIOD_S)
    watch.look({"actor-3": HEART}, redis_away_s=70.0)
    time.sleep(1.2 * PERIOD_S)
    watch.look({})
    time.sleep(1.2 * PERIOD_S)
    watch.look({"actor-3": HEART})
    assert [row["redis_away_s"] for row in _rows(folder)] == [0.0, 70.0, 0.0]
    assert [line.split(":")[0] for line in said] == ["RED redis_away", "HEALED redis_away"]


@pytest.mark.parametrize("file", ["fleet.jsonl", "health.jsonl"])
def test_damaged_rows_that_only_tell_how_it_went_hold_up_no_run(
    rig: tuple[HealthWatch, list[str], Path], file: str
) -> None:
    watch, _, folder = rig
    time.sleep(1.2 * PERIOD_S)
    watch.look({"actor-3": HEART})
    with (folder / file).open("a") as stream:
        stream.write('no JSON\n{"driven_steps": "many"}\n{"env_steps": "5", "time": []}\n')
    resumed = _resumed(folder, [])
    time.sleep(1.2 * PERIOD_S)
    resumed.look({})
    time.sleep(1.2 * PERIOD_S)
    resumed.look({"actor-3": HEART})
    assert read_health(RunFolder(folder), Config()).checks["actor_lost"].state == "ok"


def test_a_run_that_goes_on_knows_what_was_red_and_does_not_say_it_again(
    rig: tuple[HealthWatch, list[str], Path],
) -> None:
    watch, said, folder = rig
    for hearts in ({"actor-3": HEART}, {}):
        time.sleep(1.2 * PERIOD_S)
        watch.look(hearts)
    assert len(said) == 1
    said_later: list[str] = []
    resumed = _resumed(folder, said_later)
    time.sleep(1.2 * PERIOD_S)
    resumed.look({"actor-3": HEART})
    assert [line.split(":")[0] for line in said_later] == ["HEALED actor_lost"]
