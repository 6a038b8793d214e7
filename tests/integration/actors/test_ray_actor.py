"""The Ray shells: Ray places them, they drive and evaluate, and they end with the run."""

from pathlib import Path

import pytest
import ray
import redis

from actors.ray_actor import DrivingActor, EvaluatorActor
from common.config import EvaluationConfig
from common.keys import Keys
from common.network import network_for
from common.weights import encode_weights
from deploy.ray_cluster import private_ray
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.rows import read_rows
from replay_server.weights_store import WeightsStore
from tests.support.actor_run import config_of, contract_of, heart_of, logged, until

pytestmark = [pytest.mark.redis, pytest.mark.ray, pytest.mark.slow]


def test_shells_drive_and_evaluate_until_the_run_drains(
    redis_url: str,
    connection: redis.Redis,
    keys: Keys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    base = config_of(length=10)
    config = base.model_copy(update={"evaluation": EvaluationConfig(every_s=0.1, episodes=2)})
    contract = contract_of(config)
    blob = encode_weights(
        network_for(contract.spec, config), param_version=50, contract=contract.fingerprint
    )
    put_contract(connection, keys, contract)
    WeightsStore(connection, keys).publish(50, blob)
    logs = tmp_path / "logs"
    logs.mkdir()
    with private_ray(num_cpus=2, run_folder=tmp_path, logs=logs):
        common = {"redis_url": redis_url, "run": keys.run, "run_dir": tmp_path}
        driving = DrivingActor.options(num_cpus=1).remote(contract, **common, index=0)
        evaluator = EvaluatorActor.options(num_cpus=1).remote(contract, **common)
        ends = [driving.run.remote(), evaluator.run.remote()]
        until(lambda: bool(read_rows(connection, keys.evaluations, None, 10)), 120)
        until(lambda: heart_of(connection, keys, "actor-0").get("param_version") == 50, 60)
        Control(connection, keys).set("draining")
        report, nothing = ray.get(ends, timeout=60)
    assert nothing is None
    assert report.flushed
    segments = logged(connection, keys, contract, "actor-0")
    assert sum(segment.meta.transitions for segment in segments) == report.env_steps
