import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.config import Config
from common.errors import ApexManiaError, MachineError, MismatchError, UnreachableError
from deploy import cli, redis_program
from deploy.foreign_redis import check_foreign
from deploy.head_secrets import role_passwords
from deploy.redis_configuration import MAX_CLIENTS
from deploy.redis_listen import free_port
from deploy.redis_program import RedisProgram
from deploy.redis_server import PrivateRedis
from deploy.run_folder import RunFolder
from replay_server.connection import OUTAGES, connect, wait_for_server

pytestmark = pytest.mark.redis


def _programs() -> list[RedisProgram]:
    bundled = redis_program.bundled_program()
    found = redis_program.find_program()
    return [found] if bundled is None or bundled.path == found.path else [found, bundled]


@pytest.fixture(params=_programs(), ids=lambda program: program.source)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrivateRedis]:
    started = PrivateRedis(
        request.param, folder=tmp_path / "redis", log=tmp_path / "redis.log", max_bytes=50_000_000
    )
    started.start()
    yield started
    started.stop()


def _within(seconds: float, pid_before: int | None, server: PrivateRedis) -> None:
    deadline = time.monotonic() + seconds
    connection = connect(server.url, name="test")
    while time.monotonic() < deadline:
        try:
            if server.pid != pid_before and connection.ping():
                return
        except OUTAGES:
            pass
        time.sleep(0.05)
    pytest.fail(f"Redis was not back within {seconds} s")


def test_it_takes_weights_of_a_wide_network(server: PrivateRedis) -> None:
    connection = connect(server.url, name="test")
    connection.set("am:weights", bytes(20_000_000))
    assert connection.strlen("am:weights") == 20_000_000
    connection.close()


def test_it_takes_as_many_connections_as_the_system_lets_it(server: PrivateRedis) -> None:
    connection = connect(server.url, name="test")
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert connection.info("clients")["maxclients"] >= min(MAX_CLIENTS, allowed - 200)
    connection.close()


def test_what_is_trimmed_from_the_log_gives_its_memory_back(server: PrivateRedis) -> None:
    connection = connect(server.url, name="test")
    empty: int = connection.info("memory")["used_memory"]
    for seq in range(1, 41):
        connection.xadd("am:frames", {"f": bytes(63 * 64 * 64)}, id=f"1-{seq}")
        connection.xtrim("am:frames", minid=f"1-{seq}", approximate=False)
    assert connection.xlen("am:frames") == 1
    assert connection.info("memory")["used_memory"] - empty < 3 * 262_144
    connection.close()


def test_it_listens_on_loopback_only_and_its_folder_holds_no_secret(
    server: PrivateRedis, tmp_path: Path
) -> None:
    assert server.pid is not None
    listening = [
        c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == "LISTEN"
    ]
    assert set(listening) == {"127.0.0.1"}
    for name in ("users.acl", "redis.conf", "port"):
        assert (tmp_path / "redis" / name).stat().st_mode & 0o077 == 0
    held = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    held.append(" ".join(psutil.Process(server.pid).cmdline()).encode())
    for password in role_passwords().values():
        assert not any(password.encode() in text for text in held)


def test_nobody_gets_in_without_a_user(server: PrivateRedis) -> None:
    for url in (f"redis://127.0.0.1:{server.port}/0", f"redis://:x@127.0.0.1:{server.port}/0"):
        with pytest.raises(MismatchError):
            check_foreign(url)


def test_a_folder_from_before_there_were_users_keeps_data_and_port_and_loses_its_password(
    tmp_path: Path,
) -> None:
    program = redis_program.find_program()
    port = free_port()
    old = subprocess.Popen(
        [
            program.path,
            "--port",
            str(port),
            "--requirepass",
            "old",
            "--dir",
            str(tmp_path),
            "--appendonly",
            "yes",
            "--save",
            "",
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        connection = connect(f"redis://:old@127.0.0.1:{port}/0", name="test")
        wait_for_server(connection, url="", timeout_s=20)
        connection.set("am:kept", b"1")
        connection.close()
    finally:
        old.terminate()
        old.wait()
    for name, text in {
        "password": "old",
        "port": str(port),
        "redis.conf": "requirepass old",
    }.items():
        (tmp_path / name).write_text(text)
    server = PrivateRedis(program, folder=tmp_path, log=tmp_path / "log", max_bytes=10**8)
    server.start()
    try:
        assert server.port == port
        assert connect(server.url, name="test").get("am:kept") == b"1"
        assert not (tmp_path / "password").exists()
        assert "requirepass" not in (tmp_path / "redis.conf").read_text()
    finally:
        server.stop()


def test_a_wrong_password_is_a_mismatch(server: PrivateRedis) -> None:
    with pytest.raises(MismatchError) as caught:
        check_foreign(f"redis://:wrong@127.0.0.1:{server.port}/0")
    assert "wrong" not in caught.value.what
    assert caught.value.exit_code == 5


def test_a_killed_server_comes_back_on_its_port_with_its_data(server: PrivateRedis) -> None:
    connection = connect(server.url, name="test")
    connection.set("am:kept", b"1")
    assert server.pid is not None
    before, port = server.pid, server.port
    os.kill(before, signal.SIGKILL)
    _within(10, before, server)
    assert connect(server.url, name="test").get("am:kept") == b"1"
    assert server.port == port
    assert server.restarts == 1


@pytest.mark.parametrize("program", _programs(), ids=lambda program: program.source)
def test_a_full_server_is_named(program: RedisProgram, tmp_path: Path) -> None:
    server = PrivateRedis(program, folder=tmp_path, log=tmp_path / "log", max_bytes=3_000_000)
    server.start()
    try:
        connection = connect(server.url, name="test")
        with contextlib.suppress(*OUTAGES):
            for index in range(1000):
                connection.set(f"am:k{index}", b"x" * 100_000)
        with pytest.raises(MachineError, match=r"is full") as refused:
            check_foreign(server.url)
        assert "maxmemory" in refused.value.fix
        check_foreign(server.url, may_be_full=True)
    finally:
        server.stop()


@pytest.fixture
def full_server(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A server whose memory is used up for good: its limit was lowered below what it holds."""
    for max_bytes in (50_000_000, 2_000_000):
        server = PrivateRedis(
            redis_program.find_program(), folder=tmp_path, log=tmp_path / "log", max_bytes=max_bytes
        )
        server.start()
        if max_bytes > 2_000_000:
            connection = connect(server.url, name="test")
            connection.set("am:held", bytes(3_000_000))
            connection.close()
            server.stop()
    yield server
    server.stop()


def test_a_full_server_is_refused_with_its_figures_and_what_to_do(
    full_server: PrivateRedis,
) -> None:
    with pytest.raises(MachineError) as refused:
        check_foreign(full_server.url)
    error = refused.value
    assert "of 2 MB" in error.what
    assert "OOM" in error.why
    assert "replay.max_redis_bytes=4000000" in error.fix
    assert "CONFIG SET maxmemory" in error.fix
    assert role_passwords()["launcher"] not in str(error)


def test_a_full_server_may_be_looked_into(
    full_server: PrivateRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.prepare(Config())
    words = ["replay", "inspect", str(folder.path), "--redis", full_server.url]
    assert cli.main(words) == 0
    assert "full: it refuses writes" in capsys.readouterr().out
    assert cli.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["full"] is True


def test_stop_leaves_no_process_and_a_new_start_finds_data_port_and_password(
    tmp_path: Path,
) -> None:
    urls = []
    for _ in range(2):
        server = PrivateRedis(
            redis_program.find_program(), folder=tmp_path, log=tmp_path / "log", max_bytes=10**8
        )
        server.start()
        pid = server.pid
        assert pid is not None
        urls.append(server.url)
        connection = connect(server.url, name="test")
        if len(urls) == 2:
            assert connection.get("am:kept") == b"1"
        connection.set("am:kept", b"1")
        server.stop()
        assert not psutil.pid_exists(pid)
    assert urls[0] == urls[1]


def test_a_port_in_use_is_not_taken(server: PrivateRedis) -> None:
    assert free_port(preferred=server.port) != server.port


def test_a_program_that_does_not_start_says_why(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'Fatal: no luck today'\nexit 1\n")
    program.chmod(0o755)
    server = PrivateRedis(
        RedisProgram(program, "7.0.0", "PATH"),
        folder=tmp_path / "redis",
        log=tmp_path / "log",
        max_bytes=10**8,
    )
    with pytest.raises(MachineError, match=r"(?s)exit code 1.*no luck today"):
        server.start()


def test_a_log_that_cannot_be_opened_fails_the_start_instead_of_hanging(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    server = PrivateRedis(
        redis_program.find_program(),
        folder=tmp_path / "redis",
        log=tmp_path / "log",
        max_bytes=10**8,
    )
    with pytest.raises(MachineError, match=r"(?s)could not be started.*directory"):
        server.start()


def test_a_restart_that_the_system_refuses_is_tried_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = PrivateRedis(
        redis_program.find_program(), folder=tmp_path / "redis", log=log, max_bytes=10**8
    )
    server.start()
    try:
        before = server.pid
        assert before is not None
        log.unlink()
        log.mkdir()
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while server.restarts < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        log.rmdir()
        _within(10, before, server)
    finally:
        server.stop()


def test_an_absent_server_is_unreachable() -> None:
    with pytest.raises(UnreachableError) as caught:
        check_foreign(f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://x", "redis://h:port/0"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ApexManiaError):
        check_foreign(url)


def test_an_old_server_on_the_path_is_passed_over(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0'\n")
    program.chmod(0o755)
    bundled = redis_program.bundled_program()
    if bundled is None:
        with pytest.raises(MachineError, match=r"is 6\.2\.14"):
            redis_program.find_program(str(tmp_path))
    else:
        assert redis_program.find_program(str(tmp_path)) == bundled
