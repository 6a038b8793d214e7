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
_PROGRAMS = {
    "display": ("Xvfb", "xdotool"),
    "netns": ("ip", "nft", "sshd", "rsync", "redis-server", "faketime"),
}


@pytest.fixture(scope="session", autouse=True)
def machine_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's home of the session's own: nothing touches the one of whoever runs the tests."""
    home = tmp_path_factory.mktemp("home") / "apexmania"
    os.environ["APEXMANIA_HOME"] = str(home)
    return home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, with the reason; APEXMANIA_NEED_<MARKER> refuses that."""
    for marker, programs in _PROGRAMS.items():
        lacking = [program for program in programs if shutil.which(program) is None]
        why = f"{', '.join(lacking)} missing: see .ci/run" if lacking else ""
        if marker == "netns" and os.geteuid() != 0:
            why = "network namespaces need root"
        if not why or os.environ.get(f"APEXMANIA_NEED_{marker.upper()}"):
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=why))


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
