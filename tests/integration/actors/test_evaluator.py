"""The evaluator drives what the learner publishes, records it, and keeps the best."""

import threading
from pathlib import Path

import pytest
import redis
import torch

from actors.evaluator import Evaluator
from common.config import Config, EvaluationConfig
from common.contract import Contract, make_contract
from common.errors import MismatchError
from common.keys import Keys
from common.network import IqnNetwork, network_for
from common.policy_file import load_policy
from common.weights import encode_weights
from replay_server.connection import call
from replay_server.control import Control
from replay_server.rows import read_rows
from replay_server.shut_out import NotAllowedError
from replay_server.weights_store import WeightsStore
from tests.support.actor_run import config_of, contract_of, heart_of, until

pytestmark = pytest.mark.redis


def quick(**options: int) -> Config:
    base = config_of(**options)
    return base.model_copy(update={"evaluation": EvaluationConfig(every_s=0.05, episodes=3)})


def biased(config: Config, contract: Contract, action: int) -> IqnNetwork:
    """A network that always prefers one action."""
    network = network_for(contract.spec, config)
    with torch.no_grad():
        for parameter in network.advantage.parameters():
            parameter.zero_()
        network.advantage.out.bias_mu[action] = 1.0
    return network


def publish(
    connection: redis.Redis, keys: Keys, network: IqnNetwork, version: int, contract: Contract
) -> None:
    blob = encode_weights(network, param_version=version, contract=contract.fingerprint)
    WeightsStore(connection, keys).publish(version, blob)


def test_better_weights_become_the_best(
    redis_url: str, connection: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    config = quick(length=8)
    contract = contract_of(config)
    evaluator = Evaluator(config, contract, redis_url=redis_url, keys=keys, run_dir=tmp_path)
    thread = threading.Thread(target=evaluator.run)
    thread.start()
    best = tmp_path / "checkpoints" / "best"
    for version, action in ((50, 0), (100, 1), (150, 0), (200, 1)):
        publish(connection, keys, biased(config, contract, action), version, contract)
        until(lambda: len(read_rows(connection, keys.evaluations, None, 10)) * 50 >= version)  # noqa: B023
    assert heart_of(connection, keys, "evaluator")["role"] == "evaluator"
    Control(connection, keys).set("draining")
    thread.join(20)
    assert not thread.is_alive()
    rows = [row for _, row in read_rows(connection, keys.evaluations, None, 10)]
    assert [row["param_version"] for row in rows] == [50, 100, 150, 200]
    assert [row["finish_rate"] for row in rows] == [0.0, 1.0, 0.0, 1.0]
    assert [row["is_best"] for row in rows] == [True, True, False, True]  # at a tie the newer
    assert rows[1]["lap_best_ms"] == 400.0
    stored = load_policy(best)
    assert stored.state["param_version"] == 200
    assert stored.state["evaluation"]["best_lap"]["actions"] == [1] * 8
    assert [path.name for path in best.parent.glob("evaluated-*")] == ["evaluated-000000200"]
    # a restarted evaluator knows what the best was
    again = Evaluator(config, contract, redis_url=redis_url, keys=keys, run_dir=tmp_path)
    assert again._best.score == (1.0, -400.0)


def test_the_end_of_the_run_ends_an_evaluation(
    redis_url: str, connection: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    config = quick(length=10).model_copy(
        update={"evaluation": EvaluationConfig(every_s=0.05, episodes=100_000)}
    )
    contract = contract_of(config)
    evaluator = Evaluator(config, contract, redis_url=redis_url, keys=keys, run_dir=tmp_path)
    thread = threading.Thread(target=evaluator.run)
    thread.start()
    publish(connection, keys, biased(config, contract, 1), 50, contract)
    until(lambda: heart_of(connection, keys, "evaluator").get("param_version") == 50)
    Control(connection, keys).set("stopped")
    thread.join(60)
    assert not thread.is_alive()
    assert read_rows(connection, keys.evaluations, None, 10) == []


def test_a_heartbeat_that_fails_ends_the_evaluator_with_its_error(
    redis_url: str, connection: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    call(connection, "ACL", "SETUSER", "heartless", "on", ">pw", "~*", "&*", "+@all", "-set")
    url = redis_url.replace("redis://", "redis://heartless:pw@")
    config = quick(length=10)
    evaluator = Evaluator(config, contract_of(config), redis_url=url, keys=keys, run_dir=tmp_path)
    with pytest.raises(NotAllowedError):
        evaluator.run()


def test_another_contract_is_refused(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    config = quick()
    other = config.game.model_copy(update={"track": "elsewhere"})
    theirs = make_contract(config.model_copy(update={"game": other}), contract_of(config).spec)
    with pytest.raises(MismatchError, match="track"):
        Evaluator(config, theirs, redis_url=redis_url, keys=keys, run_dir=tmp_path)
