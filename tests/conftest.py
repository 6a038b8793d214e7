"""Fixtures that several folders of tests share."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from common.keys import Keys
from replay_server.connection import connect
from tests.support.redis_server import RedisServer

_runs = itertools.count()
hypothesis.settings.register_profile("busy machines", deadline=None)
hypothesis.settings.load_profile("busy machines")
_DISPLAY_PROGRAMS = ("Xvfb", "xdotool")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a private display where there can be none; APEXMANIA_NEED_DISPLAY refuses that."""
    missing = [program for program in _DISPLAY_PROGRAMS if shutil.which(program) is None]
    if not missing or os.environ.get("APEXMANIA_NEED_DISPLAY"):
        return
    reason = f"{' and '.join(missing)} missing: apt-get install xvfb xdotool"
    for item in items:
        if item.get_closest_marker("display"):
            item.add_marker(pytest.mark.skip(reason=reason))


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
