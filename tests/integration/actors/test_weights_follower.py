"""The follower takes whole weights of its own contract, and nothing else."""

from collections.abc import Iterator

import pytest
import redis
import torch

from actors.weights_follower import WeightsFollower
from common.errors import MismatchError
from common.keys import Keys
from common.network import network_for
from common.weights import encode_weights
from replay_server.weights_store import WeightsStore
from tests.support.actor_run import config_of, contract_of, until

pytestmark = pytest.mark.redis
CONFIG = config_of()
SPEC = contract_of(CONFIG).spec


def blob(version: int, contract: str = "ours", seed: int = 0) -> bytes:
    torch.manual_seed(seed)
    return encode_weights(network_for(SPEC, CONFIG), param_version=version, contract=contract)


@pytest.fixture
def store(connection: redis.Redis, keys: Keys) -> WeightsStore:
    return WeightsStore(connection, keys)


@pytest.fixture
def follower(redis_url: str, keys: Keys) -> Iterator[WeightsFollower]:
    following = WeightsFollower(redis_url, keys, name="test", contract="ours", period_s=0.02)
    following.start()
    yield following
    following.close()


def version_of(follower: WeightsFollower) -> int | None:
    return follower.newest.param_version if follower.newest is not None else None


def test_it_follows_the_newest(follower: WeightsFollower, store: WeightsStore) -> None:
    assert follower.newest is None
    assert follower.staleness(-1) == 0
    for version in (50, 100):
        store.publish(version, blob(version, seed=version))
        until(lambda version=version: version_of(follower) == version)  # type: ignore[misc]
    assert follower.newest is not None
    torch.manual_seed(100)
    expected = network_for(SPEC, CONFIG).state_dict()
    assert all(torch.equal(follower.newest.tensors[name], expected[name]) for name in expected)
    assert follower.counters.fetched == 2
    assert follower.staleness(50) == 50


def test_a_learner_that_resumed_from_an_older_step_is_followed_back(
    follower: WeightsFollower, store: WeightsStore
) -> None:
    store.publish(100, blob(100))
    until(lambda: version_of(follower) == 100)
    store.publish(50, blob(50))
    until(lambda: version_of(follower) == 50)


def test_on_demand_it_fetches_what_is_wanted_and_knows_of_the_rest(
    redis_url: str, keys: Keys, store: WeightsStore
) -> None:
    following = WeightsFollower(
        redis_url, keys, name="test", contract="ours", period_s=0.02, on_demand=True
    )
    store.publish(50, blob(50))
    following.start()
    until(lambda: version_of(following) == 50)
    store.publish(100, blob(100))
    until(lambda: following.staleness(50) == 50)
    assert version_of(following) == 50, "nobody wanted it"
    following.want()
    until(lambda: version_of(following) == 100)
    assert following.counters.fetched == 2
    following.close()


def test_what_is_wanted_comes_at_once(redis_url: str, keys: Keys, store: WeightsStore) -> None:
    hour_s = 3600.0
    following = WeightsFollower(
        redis_url, keys, name="test", contract="ours", period_s=hour_s, on_demand=True
    )
    following.start()
    until(following._poller.polled.is_set)
    store.publish(50, blob(50))
    following.want()
    until(lambda: version_of(following) == 50)
    following.close()


def test_a_corrupt_blob_is_counted_and_ignored(
    follower: WeightsFollower, store: WeightsStore
) -> None:
    store.publish(50, blob(50))
    until(lambda: version_of(follower) == 50)
    damaged = bytearray(blob(100))
    damaged[200] ^= 1
    store.publish(100, bytes(damaged))
    until(lambda: follower.counters.corrupt == 1)
    assert version_of(follower) == 50
    assert follower.staleness(50) == 50
    store.publish(150, blob(150))
    until(lambda: version_of(follower) == 150)
    assert follower.counters.corrupt == 1


def test_weights_of_another_contract_are_refused(
    follower: WeightsFollower, store: WeightsStore
) -> None:
    store.publish(50, blob(50, contract="theirs"))
    until(lambda: follower.counters.refused == 1)
    assert follower.newest is None


def test_no_permission_is_handed_to_the_actor(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    """What is no outage must not be retried in silence for ever."""
    connection.execute_command("ACL", "SETUSER", "nobody", "on", ">pw", "+ping", "+client")
    url = redis_url.replace("redis://", "redis://nobody:pw@")
    following = WeightsFollower(url, keys, name="test", contract="ours", period_s=0.02)
    following.start()
    until(lambda: following._poller.failure is not None)
    with pytest.raises(MismatchError, match="does not let this actor in"):
        following.raise_failure()
    following.close()
    connection.execute_command("ACL", "DELUSER", "nobody")
