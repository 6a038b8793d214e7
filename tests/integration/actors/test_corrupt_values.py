"""Values in Redis that make no sense stop no actor: it goes on with what it knew before."""

import pytest
import redis
from structlog.testing import capture_logs

from actors.fleet_follower import FleetFollower
from common.keys import Keys
from common.network import network_for
from common.weights import encode_weights
from deploy.served_run import Head, ServedRun
from replay_server.announcement import announce_run
from replay_server.contract_store import put_contract
from replay_server.fleet_view import FleetPlace, read_fleet
from replay_server.registry import put_places
from replay_server.weights_store import WeightsStore
from tests.support.actor_run import actor_thread, config_of, contract_of, heart_of, until

pytestmark = pytest.mark.redis
GARBAGE = [b"\xff\x00garbage", b"-3", b"9" * 5000]


@pytest.mark.parametrize("value", GARBAGE)
def test_a_place_that_is_none_leaves_the_one_before(
    redis_url: str, connection: redis.Redis, keys: Keys, value: bytes
) -> None:
    put_places(connection, keys, {"pc-0": 0, "pc-1": 1, "pc-2": 2})
    following = FleetFollower(redis_url, keys, name="test", actor="pc-1", period_s=0.02)
    following.start()
    until(lambda: (following.index, following.count) == (1, 3))
    connection.hset(keys.fleet, "pc-1", value)
    with capture_logs() as logs:
        assert read_fleet(connection, keys, actor="pc-1").place is None
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("fleet_place_corrupt", "warning")
    ]
    connection.set(keys.control, b"draining")
    until(lambda: following.ends)
    following._rest_due_s = 0.0
    connection.set(keys.control, b"running")
    until(lambda: not following.ends)
    following.raise_failure()
    assert (following.index, following.count) == (1, 3)
    connection.hset(keys.fleet, "pc-1", 2)
    until(lambda: following.index == 2)
    following.close()
    assert read_fleet(connection, keys, actor="pc-1").place == FleetPlace(2, 3)


@pytest.mark.parametrize("garbage", [b"", b"\xff" * 5000])
def test_an_actor_drives_on_whatever_stands_in_the_values_that_it_follows(
    redis_url: str, connection: redis.Redis, keys: Keys, garbage: bytes
) -> None:
    config = config_of("real_time")
    contract = contract_of(config)
    put_places(connection, keys, {"pc-1": 0})
    blob = encode_weights(
        network_for(contract.spec, config), param_version=50, contract=contract.fingerprint
    )
    WeightsStore(connection, keys).publish(50, blob)
    with actor_thread(config, contract, url=redis_url, keys=keys) as actor:
        until(lambda: heart_of(connection, keys).get("param_version") == 50)
        for key in (keys.control, keys.limiter, keys.weights):
            connection.set(key, garbage)
        connection.hset(keys.fleet, "pc-1", garbage)
        before = int(str(heart_of(connection, keys)["env_steps"]))
        until(lambda: int(str(heart_of(connection, keys)["env_steps"])) > before + 50)
        assert not actor.done()
        assert heart_of(connection, keys)["param_version"] == 50
        connection.set(keys.control, b"draining")
        until(actor.done)
    assert actor.error is None
    assert actor.report is not None
    assert actor.report.flushed


def test_who_joined_stays_with_its_run_while_the_contract_is_damaged(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    contract = contract_of(config_of())
    put_contract(connection, keys, contract)
    announce_run(connection, keys.run)
    head = Head(redis_url, name="test")
    run = ServedRun(keys.run, contract, {})
    assert head.still_serves(run)
    connection.set(keys.contract, b"\xff garbage")
    assert head.still_serves(run)
    head.close()
