"""Ray's list of machines, brought up to the cluster's file while the head runs."""

import json
from pathlib import Path

import pytest
import yaml

from deploy.cluster import admission


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(admission, "TEMPORARY", tmp_path)
    file = tmp_path / "ray" / "cluster-mine.state"
    file.parent.mkdir()
    tags = {"ray-node-type": "worker", "ray-node-status": "up-to-date"}
    file.write_text(
        json.dumps(
            {
                "10.0.0.1": {"tags": {"ray-node-type": "head"}, "state": "running"},
                "10.0.0.2": {"tags": tags, "state": "running"},
            }
        )
    )
    return file


def _config(folder: Path, *workers: str) -> Path:
    file = folder / "config.yaml"
    provider = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": list(workers)}
    file.write_text(yaml.safe_dump({"cluster_name": "mine", "provider": provider}))
    return file


def test_a_new_machine_waits_to_be_started_and_the_others_stay_as_they_are(
    state: Path, tmp_path: Path
) -> None:
    before = json.loads(state.read_text())
    assert admission.admit_workers(_config(tmp_path, "10.0.0.2", "10.0.0.3")) == ["10.0.0.3"]
    after = json.loads(state.read_text())
    assert after.pop("10.0.0.3") == {"tags": {"ray-node-type": "worker"}, "state": "terminated"}
    assert after == before
    assert admission.admit_workers(_config(tmp_path, "10.0.0.2", "10.0.0.3")) == []


def test_a_machine_that_was_taken_off_is_not_started_until_it_is_back_in_the_file(
    state: Path, tmp_path: Path
) -> None:
    admission.admit_workers(_config(tmp_path))
    taken = json.loads(state.read_text())["10.0.0.2"]
    assert taken["tags"]["ray-node-type"] != "worker"
    assert taken["state"] == "terminated"
    assert admission.admit_workers(_config(tmp_path, "10.0.0.2")) == ["10.0.0.2"]
