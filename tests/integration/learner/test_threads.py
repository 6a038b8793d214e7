"""What runs beside the learner's thread: weights out, reports out, the log in."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.keys import Keys
from common.weights import decode_weights
from learner.broadcast import Broadcaster
from learner.ingest import IndexFollower
from learner.reporter import Reporter
from replay_server.control import Control
from replay_server.hearts import read_all
from replay_server.rows import read_rows
from replay_server.weights_store import WeightsStore
from tests.support.learner_inputs import SMALL, make_network, small_config
from tests.support.learner_rig import make_run
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


def test_a_published_network_is_the_one_at_that_moment(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    network = make_network(small_config())
    before = network.tau_embedding.bias.detach().clone()
    broadcaster = Broadcaster(redis_url, keys, "c")
    broadcaster.publish(network, param_version=7)
    network.tau_embedding.bias.data.add_(1.0)
    broadcaster.start()
    broadcaster.close()
    blob = WeightsStore(connection, keys).fetch()
    assert blob is not None
    snapshot = decode_weights(blob, contract="c")
    assert snapshot.param_version == broadcaster.published_version == 7
    assert snapshot.tensors["tau_embedding.bias"].equal(before)


def test_the_newest_weights_win_after_an_outage(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        keys, network = Keys("outage"), make_network(small_config())
        broadcaster = Broadcaster(server.url, keys, "c")
        broadcaster.start()
        broadcaster.publish(network, param_version=1)
        assert broadcaster.wait_published(1, 10)
        server.kill()
        for version in (2, 3, 4):
            broadcaster.publish(network, param_version=version)
        assert not broadcaster.wait_published(2, 0.3)
        server.start()
        assert broadcaster.wait_published(4, 20)
        client = redis.Redis.from_url(server.url)
        assert WeightsStore(client, keys).version() == 4
        client.close()
        broadcaster.close()
    finally:
        server.stop()


def test_rows_and_switch_survive_an_outage(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        keys = Keys("outage")
        client = redis.Redis.from_url(server.url)
        Control(client, keys).set("running")
        reporter = Reporter(server.url, keys)
        reporter.say({"doing": "learning"})
        reporter.start()
        deadline = time.monotonic() + 10
        while reporter.control_state is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(1.2)  # the append-only file reaches the disk once a second
        server.kill()
        reporter.add_row({"n": 1})
        reporter.add_row({"n": 2})
        time.sleep(0.5)
        assert reporter.control_state == "running"
        server.start()
        deadline = time.monotonic() + 10
        while not read_rows(client, keys.metrics, None, 9) and time.monotonic() < deadline:
            time.sleep(0.02)
        reporter.close()
        rows = [row for _, row in read_rows(client, keys.metrics, None, 9)]
        assert [row["n"] for row in rows] == [1, 2]
        assert read_all(client, keys)["learner"]["doing"] == "learning"
        client.close()
    finally:
        server.stop()


@pytest.fixture
def reader_url(redis_server: RedisServer, connection: redis.Redis) -> Iterator[str]:
    """A user of the server who may read and not write."""
    connection.execute_command(
        "ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@read", "+@connection"
    )
    yield redis_server.url.replace("redis://", "redis://reader:secret@").replace("@:", ":")
    connection.execute_command("ACL", "DELUSER", "reader")


def test_weights_that_may_not_be_published_stop_the_learner(reader_url: str, keys: Keys) -> None:
    network = make_network(small_config())
    broadcaster = Broadcaster(reader_url, keys, "c")
    broadcaster.start()
    broadcaster.publish(network, param_version=1)
    with pytest.raises(redis.ResponseError):
        broadcaster.wait_published(1, 10)
    with pytest.raises(redis.ResponseError):
        broadcaster.publish(network, param_version=2)
    broadcaster.close()


def test_a_report_that_is_refused_stops_the_learner(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    connection.set(keys.metrics, "no stream")
    reporter = Reporter(redis_url, keys)
    reporter.add_row({"n": 1})
    reporter.start()
    reporter.close()
    for use in (
        lambda: reporter.control_state,
        lambda: reporter.say({}),
        lambda: reporter.add_row({"n": 2}),
    ):
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            use()


def test_the_follower_reads_every_id_once_and_starts_where_it_is_told(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    run = make_run(redis_url, keys, tmp_path)
    run.drive(episodes=30)
    with run.serving(expected_ids=2100):
        for after, first in ((None, 0), (70, 70)):
            follower = IndexFollower(redis_url, keys, SMALL, after=after)
            follower.start()
            assert follower.wait_until_connected(10)
            assert (follower.bounds.first, follower.bounds.next) == (0, 2100)
            at = first
            while at < 2100:
                for indexed in follower.take(wait_s=0.5):
                    assert indexed.first_id == at
                    at += indexed.count
            follower.close()
