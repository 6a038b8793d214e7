"""The follower takes whole weights of its own contract, and nothing else."""

import select
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

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
from tests.support.redis_server import free_port

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


@contextmanager
def cutting_link(url: str, *, cuts: int) -> Iterator[tuple[str, list[int]]]:
    """Forwards to a server; breaks the first connections inside a long reply. Yields URL and lengths."""
    parts = urlsplit(url)
    broken: list[int] = []

    class Forwarder(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((parts.hostname or "", parts.port or 0)) as server:
                while True:
                    readable, _, _ = select.select([self.request, server], [], [])
                    source = readable[0]
                    data = source.recv(65536)
                    if source is server and len(data) > 1000 and len(broken) < cuts:
                        broken.append(len(data))
                        self.request.sendall(data[:500])
                        return
                    if not data:
                        return
                    (self.request if source is server else server).sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forwarder) as link:
        link.daemon_threads = True
        threading.Thread(target=link.serve_forever, args=(0.05,), daemon=True).start()
        yield f"redis://127.0.0.1:{link.server_address[1]}{parts.path}", broken
        link.shutdown()


def test_what_an_outage_kept_away_stays_wanted(
    redis_url: str, keys: Keys, store: WeightsStore
) -> None:
    """Half a reply is none: it is fetched again, without being wanted again."""
    store.publish(50, blob(50))
    with cutting_link(redis_url, cuts=2) as (url, broken):
        following = WeightsFollower(
            url, keys, name="test", contract="ours", period_s=0.02, on_demand=True
        )
        following.start()
        until(lambda: version_of(following) == 50)
        following.close()
    assert len(broken) == 2


def test_who_waits_has_the_newest_as_soon_as_it_is_there(
    redis_url: str, keys: Keys, store: WeightsStore
) -> None:
    following = WeightsFollower(
        redis_url, keys, name="test", contract="ours", period_s=0.001, on_demand=True
    )
    following.start()
    until(following._poller.polled.is_set)
    for version in range(50, 1050, 50):
        time.sleep(0.01)
        store.publish(version, blob(version))
        following.want()
        following.wait_for_wanted(10.0)
        assert version_of(following) == version
        assert following.staleness(version) == 0
    began = time.monotonic()
    following.want()
    following.wait_for_wanted(10.0)
    assert time.monotonic() - began < 5.0, "the newest is held: there is nothing to wait for"
    following.close()


def test_nobody_waits_for_a_redis_that_is_away_nor_for_weights_of_this_second(
    redis_url: str, keys: Keys, store: WeightsStore
) -> None:
    hour_s = 3600.0
    store.publish(50, blob(50))
    following = WeightsFollower(
        redis_url, keys, name="test", contract="ours", period_s=hour_s, on_demand=True
    )
    following.start()
    until(lambda: version_of(following) == 50)
    store.publish(100, blob(100))
    away = WeightsFollower(
        f"redis://127.0.0.1:{free_port()}/0", keys, name="test", contract="ours", on_demand=True
    )
    away.start()
    began = time.monotonic()
    for each in (following, away):
        each.want()
        each.wait_for_wanted(30.0)
    assert time.monotonic() - began < 15.0
    following.close()
    away.close()


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
