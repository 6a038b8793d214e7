"""What the tests break: a Redis of each test's own, and a small run on pretended machines."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from replay_server.connection import connect
from tests.support.fault_rig import FaultRig
from tests.support.redis_server import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path / "redis")
    own.start()
    yield own
    own.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    connection = connect(server.url, name="test")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def rig() -> Iterator[FaultRig]:
    with (
        tempfile.TemporaryDirectory(prefix="faults-", dir="/tmp") as folder,  # a short path
        FaultRig(Path(folder)) as shared,
    ):
        yield shared
