"""Who has a token is let in as soon as Redis answers, also while its data loads after a crash."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.config import Config
from common.keys import Keys
from deploy import cli
from deploy.redis_program import find_program
from deploy.redis_server import PrivateRedis
from deploy.roster import Roster
from deploy.run_folder import RunFolder, RunLock
from deploy.run_redis import PrivateRunRedis, private_run_redis
from deploy.tokens import create_token, revoke_token
from deploy.user_sync import UserSync
from replay_server.access import actor_user
from replay_server.announcement import current_run
from replay_server.connection import connect
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis
KEYS = Keys("run")


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateRedis]:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))
    folder = tmp_path / "run"
    folder.mkdir()
    server = PrivateRedis(
        find_program(),
        folder=folder / "redis",
        log=folder / "redis.log",
        max_bytes=10**8,
        run="run",
    )
    yield server
    server.stop()


def ask(server: PrivateRedis, name: str, password: str) -> None:
    """Asks as an actor does, before anybody else has done anything."""
    connection = connect(server.address(actor_user(name), password), name=name)
    try:
        current_run(connection)
    finally:
        connection.close()


def test_a_token_holder_is_let_in_from_the_start_and_after_a_crash(private: PrivateRedis) -> None:
    _, early = create_token("early", address="h:1")
    private.start()
    urls = PrivateRunRedis(private, run="run")
    urls.actor_url("actor-0")
    ask(private, "early", early)
    _, late = create_token("late", address="h:1")
    revoke_token("early")
    assert private.pid is not None
    os.kill(private.pid, signal.SIGKILL)
    wait_until(lambda: private.restarts == 1, timeout_s=30)
    launcher = connect(private.url, name="launcher")
    wait_until(lambda: _answers(launcher), timeout_s=30)
    launcher.close()
    ask(private, "late", late)
    ask(private, "actor-0", private.users.actor_password("actor-0"))
    with pytest.raises(redis.AuthenticationError):
        ask(private, "early", early)
    assert late not in private.users.file.read_text()


def test_a_banned_actor_stays_out_when_its_run_starts_again(
    private: PrivateRedis, tmp_path: Path
) -> None:
    passwords = {name: create_token(name, address="h:1")[1] for name in ("good", "bad")}
    private.start()
    launcher = connect(private.url, name="launcher")
    launcher.hset(KEYS.banned, "bad", "floods")
    launcher.close()
    private.stop()
    folder = RunFolder(tmp_path / "run")
    folder.logs.mkdir(exist_ok=True)
    with private_run_redis(folder, Config(), listen=None) as members:
        launcher_url = members.url("launcher")
        place = launcher_url.rpartition("@")[2]
        for name, password in passwords.items():
            user = actor_user(name).replace(":", "%3A")
            connection = connect(f"redis://{user}:{password}@{place}", name=name)
            if name == "good":
                current_run(connection)
            else:
                with pytest.raises(redis.AuthenticationError):
                    current_run(connection)
            connection.close()


def test_a_person_lets_in_again_whom_the_run_shut_out(
    private: PrivateRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, password = create_token("pc", address="h:1")
    folder = RunFolder(tmp_path / "run")
    folder.prepare(Config())
    words = ["token", "pardon", "pc", "--run", str(folder.path)]
    assert cli.main(words) == 2, "nothing runs"
    private.start()
    launcher = connect(private.url, name="launcher")
    for name in ("pc", "actor-0"):
        launcher.hset(KEYS.banned, name, "floods")
    sync = UserSync(private.url, KEYS, roster=Roster(), own_users=True)
    sync.sync()
    with pytest.raises(redis.AuthenticationError):
        ask(private, "pc", password)
    with RunLock(folder):
        capsys.readouterr()
        for name in ("pc", "actor-0"):
            assert cli.main([*words[:2], name, *words[3:]]) == 0
            assert f"{name} is let in again" in capsys.readouterr().out
        sync.sync()
        ask(private, "pc", password)
        assert cli.main(words) == 2
        assert "shut out are: none" in capsys.readouterr().err
    sync._redis.close()
    launcher.close()


def _answers(connection: redis.Redis) -> bool:
    try:
        return bool(connection.ping())
    except redis.ConnectionError:
        return False


def test_a_large_fleet_is_written_once_for_each_start_and_not_once_for_each_actor(
    private: PrivateRedis,
) -> None:
    private.start()
    written = private.users.file.stat().st_mtime_ns
    urls = PrivateRunRedis(private, run="run")
    for index in range(3):
        urls.actor_url(f"actor-{index}")
    assert private.users.file.stat().st_mtime_ns == written
    assert private.pid is not None
    before = private.pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: private.restarts == 1 and private.pid not in {None, before})
    wait_until(lambda: private.users.file.read_text().count("user actor:actor-") == 3)
