"""Fixtures that several folders of tests share."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.keys import Keys
from replay_server.connection import connect
from tests.support.redis_server import RedisServer

_runs = itertools.count()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One private Redis for the whole session; tests keep apart by their keys."""
    folder = Path(tmp_path_factory.mktemp("redis"))
    server = RedisServer(folder, options=("--unixsocket", str(folder / "redis.sock")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    client = connect(redis_url, name="test")
    yield client
    client.close()


@pytest.fixture
def keys() -> Keys:
    """The keyspace of a run that no other test uses."""
    return Keys(run=f"test-{next(_runs)}")
