"""A private Redis that listens for other machines: encrypted, and only for those it knows."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from common.errors import MachineError
from deploy.certificates import authority_pem, client_identity
from deploy.head_secrets import role_password
from deploy.redis_address import compose_address
from deploy.redis_listen import Listen, free_port
from deploy.redis_program import bundled_program, find_program, speaks_tls
from deploy.redis_server import PrivateRedis
from deploy.run_redis import PrivateRunRedis
from replay_server.connection import connect
from tests.support.open_ports import addresses_outside
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="apt-get install redis-server"),
]
HOST = "127.0.0.2"


def started(folder: Path, listen: Listen) -> PrivateRedis:
    server = PrivateRedis(
        find_program(tls=listen.tls),
        folder=folder / "redis",
        log=folder / "log",
        max_bytes=10**8,
        run="run",
        listen=listen,
    )
    server.start()
    return server


@pytest.fixture(params=[False, True], ids=["tls", "mutual tls"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrivateRedis]:
    running = started(tmp_path, Listen(HOST, free_port(), mutual_tls=request.param))
    yield running
    running.stop()


def reader(server: PrivateRedis, *, host: str = HOST, ca: str | None, identity: str | None) -> str:
    return compose_address(
        host=host,
        port=server.port,
        user="reader",
        password=role_password("reader"),
        ca_pem=ca,
        identity_pem=identity,
    )


def answers(url: str) -> bool:
    connection = connect(url, name="test")
    try:
        return bool(connection.ping())
    except redis.ConnectionError:
        return False
    finally:
        connection.close()


def test_only_who_trusts_our_authority_and_asks_for_our_name_gets_through(
    server: PrivateRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server._listen is not None
    demanded = server._listen.mutual_tls
    ca, identity = authority_pem(), client_identity("gaming-pc")
    assert server.pid is not None
    outside = addresses_outside(psutil.Process(server.pid))
    assert list(outside.values()) == [{f"{HOST}:{server.port}"}]
    for host in (HOST, "127.0.0.1", "localhost"):
        assert answers(reader(server, host=host, ca=ca, identity=identity))
    assert answers(reader(server, ca=ca, identity=None)) is not demanded
    assert not answers(reader(server, ca=None, identity=None)), "plain"
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "another-home"))
    stranger, strange_identity = authority_pem(), client_identity("gaming-pc")
    monkeypatch.undo()
    assert not answers(reader(server, ca=stranger, identity=identity)), "it fails closed"
    assert answers(reader(server, ca=ca, identity=strange_identity)) is not demanded


def test_a_member_of_the_run_is_told_an_address_that_works(server: PrivateRedis) -> None:
    for host in ("127.0.0.1", HOST):
        members = PrivateRunRedis(server, run="run", host=host)
        assert answers(members.url("learner"))
        actor = connect(members.actor_url("actor-7"), name="actor")
        actor.set("am:{run}:heart:actor-7", b"x")
        with pytest.raises(redis.exceptions.NoPermissionError):
            actor.set("am:{run}:heart:actor-8", b"x")
        actor.close()


def test_an_actor_is_known_to_a_server_that_was_restarted(tmp_path: Path) -> None:
    listen = Listen(HOST, free_port(), tls=False)
    server = started(tmp_path, listen)
    try:
        url = PrivateRunRedis(server, run="run").actor_url("actor-0")
        assert url.startswith("redis://")
        assert answers(url)
        before = server.pid
        assert before is not None
        psutil.Process(before).kill()
        wait_until(lambda: server.pid != before and answers(url))
    finally:
        server.stop()


def test_a_server_without_tls_is_told_from_one_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert speaks_tls(find_program().path)
    bundled = bundled_program()
    assert bundled is not None
    assert not speaks_tls(bundled.path)
    (tmp_path / "redis-server").symlink_to(bundled.path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match=r"(?s)built without TLS.*--insecure-lan"):
        find_program(tls=True)
    assert find_program().path == tmp_path / "redis-server"
