"""A running training lets in who has a token, shuts out who has none any more, and gives places to the living."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.keys import Keys
from deploy.roster import Roster
from deploy.tokens import create_token, revoke_token
from deploy.user_sync import UserSync
from replay_server.access import actor_user
from replay_server.announcement import current_run
from replay_server.connection import call, connect
from replay_server.hearts import beat
from replay_server.registry import read_places, registered
from replay_server.users import user_names
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis
KEYS = Keys("run")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))
    made = RedisServer(tmp_path / "redis")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def launcher(server: RedisServer) -> Iterator[redis.Redis]:
    client = connect(server.url, name="test")
    yield client
    client.close()


@pytest.fixture
def sync(server: RedisServer) -> Iterator[UserSync]:
    roster = Roster()
    roster.add("actor-0")
    made = UserSync(server.url, KEYS, roster=roster, own_users=True)
    yield made
    made._redis.close()


def as_actor(server: RedisServer, name: str, password: str) -> redis.Redis:
    user = actor_user(name).replace(":", "%3A")
    return connect(server.url.replace("redis://", f"redis://{user}:{password}@"), name=name)


def test_a_token_lets_in_and_its_end_cuts_off(server: RedisServer, sync: UserSync) -> None:
    sync.sync()
    _, password = create_token("pc", address="h:1")
    with pytest.raises(redis.AuthenticationError):
        current_run(as_actor(server, "pc", password))
    sync.sync()
    actor = as_actor(server, "pc", password)
    assert current_run(actor) == "run"
    revoke_token("pc")
    sync.sync()
    with pytest.raises(redis.ConnectionError):
        current_run(actor)
    with pytest.raises(redis.AuthenticationError):
        current_run(as_actor(server, "pc", password))
    _, password = create_token("pc", address="h:1")
    sync.sync()
    assert current_run(as_actor(server, "pc", password)) == "run"


def test_a_banned_actor_is_switched_off_also_after_a_restart(
    server: RedisServer, sync: UserSync, launcher: redis.Redis
) -> None:
    passwords = {name: create_token(name, address="h:1")[1] for name in ("good", "bad")}
    sync.sync()
    actor = as_actor(server, "bad", passwords["bad"])
    assert current_run(actor) == "run"
    launcher.hset(KEYS.banned, "bad", "floods")
    sync.sync()
    with pytest.raises(redis.ConnectionError):
        current_run(actor)
    server.stop()
    server.start()
    assert actor_user("good") not in user_names(launcher), "a restarted server knows no tokens"
    sync.sync()
    assert current_run(as_actor(server, "good", passwords["good"])) == "run"
    with pytest.raises(redis.AuthenticationError):
        current_run(as_actor(server, "bad", passwords["bad"]))
    launcher.hdel(KEYS.banned, "bad")
    sync.sync()
    assert current_run(as_actor(server, "bad", passwords["bad"])) == "run"


def test_only_the_living_have_a_place_and_all_are_read(
    sync: UserSync, launcher: redis.Redis
) -> None:
    create_token("pc", address="h:1")
    create_token("absent", address="h:1")
    beat(launcher, KEYS, "pc", {"fps": 20.0})
    beat(launcher, KEYS, "stranger", {"fps": 20.0})
    sync.sync()
    assert read_places(launcher, KEYS) == {"actor-0": 0, "pc": 1}
    assert registered(launcher, KEYS) == {"actor-0", "pc", "absent"}
    launcher.delete(KEYS.heart("pc"))
    sync.sync()
    assert read_places(launcher, KEYS) == {"actor-0": 0}


def test_what_redis_lost_is_there_again(sync: UserSync, launcher: redis.Redis) -> None:
    sync.sync()
    launcher.flushall()
    sync.sync()
    assert current_run(launcher) == "run"
    assert registered(launcher, KEYS) == {"actor-0"}
    assert read_places(launcher, KEYS) == {"actor-0": 0}


def test_the_users_of_a_redis_that_is_not_ours_are_left_alone(
    server: RedisServer, launcher: redis.Redis
) -> None:
    create_token("pc", address="h:1")
    call(launcher, "ACL", "SETUSER", actor_user("theirs"), "on", ">pw")
    sync = UserSync(server.url, KEYS, roster=Roster(), own_users=False)
    sync.sync()
    assert user_names(launcher) == {"default", actor_user("theirs")}
    assert registered(launcher, KEYS) == frozenset()
    sync._redis.close()
