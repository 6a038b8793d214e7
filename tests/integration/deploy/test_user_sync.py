"""A running training lets in who has a token, shuts out who has none any more, and gives places to the living."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.keys import Keys
from deploy.roster import Roster
from deploy.tokens import create_token, revoke_token
from deploy.user_sync import UserSync
from replay_server.access import actor_rules, actor_user, digest
from replay_server.announcement import current_run
from replay_server.connection import call, connect
from replay_server.hearts import beat, read_all
from replay_server.refusals import read_bans
from replay_server.registry import read_places, registered
from replay_server.users import put_user, user_names
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


def test_a_token_lets_in_and_its_end_cuts_off(
    server: RedisServer, sync: UserSync, launcher: redis.Redis
) -> None:
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
    assert read_all(launcher, KEYS)["pc"]["leaving"] is True, "nobody is to miss it"
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


def test_a_token_that_is_made_anew_at_once_ends_what_the_old_one_opened(
    server: RedisServer, sync: UserSync
) -> None:
    _, old = create_token("pc", address="h:1")
    _, other = create_token("other", address="h:1")
    sync.sync()
    actor, bystander = as_actor(server, "pc", old), as_actor(server, "other", other)
    assert current_run(actor) == current_run(bystander) == "run"
    revoke_token("pc")
    _, new = create_token("pc", address="h:1")
    sync.sync()
    with pytest.raises(redis.ConnectionError):
        current_run(actor)
    with pytest.raises(redis.AuthenticationError):
        current_run(as_actor(server, "pc", old))
    renewed = as_actor(server, "pc", new)
    assert current_run(renewed) == "run"
    sync.sync()
    assert current_run(renewed) == current_run(bystander) == "run", "with the connections they had"


def test_a_full_redis_is_shut_to_whoever_lost_its_token(
    server: RedisServer, sync: UserSync, launcher: redis.Redis
) -> None:
    passwords = {name: create_token(name, address="h:1")[1] for name in ("revoked", "banned")}
    sync.sync()
    actors = [as_actor(server, name, password) for name, password in passwords.items()]
    launcher.hset(KEYS.banned, "banned", "floods")
    revoke_token("revoked")
    call(launcher, "CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(redis.OutOfMemoryError):
        launcher.set("x", "y")
    sync.sync()
    for actor in actors:
        with pytest.raises(redis.ConnectionError):
            current_run(actor)
    create_token("new", address="h:1")
    with pytest.raises(redis.OutOfMemoryError):
        sync.sync()
    assert actor_user("new") in user_names(launcher), (
        "users come before what Redis refuses to write"
    )


@pytest.mark.parametrize("late", ["banned", "renewed"])
def test_a_server_that_comes_back_with_an_older_file_is_corrected(
    server: RedisServer, sync: UserSync, launcher: redis.Redis, late: str
) -> None:
    _, password = create_token("pc", address="h:1")
    sync.sync()
    if late == "banned":
        launcher.hset(KEYS.banned, "pc", "floods")
    else:
        revoke_token("pc")
        create_token("pc", address="h:1")
    sync.sync()
    user = actor_user("pc")
    put_user(
        launcher, user, rules=actor_rules("pc", KEYS), password_digest=digest(password)
    )  # as the file says that such a server reads
    actor = as_actor(server, "pc", password)
    assert current_run(actor) == "run"
    sync.sync()
    with pytest.raises(redis.ConnectionError):
        current_run(actor)
    with pytest.raises(redis.AuthenticationError):
        current_run(as_actor(server, "pc", password))


@pytest.mark.parametrize("pause", ["none", "a look", "a restart"])
def test_a_token_that_was_made_anew_lifts_the_ban_of_the_old_one(
    server: RedisServer, sync: UserSync, launcher: redis.Redis, pause: str
) -> None:
    for name in ("pc", "other"):
        create_token(name, address="h:1")
    sync.sync()
    launcher.hset(KEYS.banned, mapping={"pc": "floods", "other": "floods"})
    sync.sync()
    revoke_token("pc")
    if pause == "a look":
        sync.sync()
    elif pause == "a restart":
        server.stop()
        server.start()
    _, password = create_token("pc", address="h:1")
    sync.sync()
    assert current_run(as_actor(server, "pc", password)) == "run"
    assert set(read_bans(launcher, KEYS)) == {"other"}
    launcher.hset(KEYS.banned, "pc", "floods again")
    for _ in range(2):
        sync.sync()
        with pytest.raises(redis.AuthenticationError):
            current_run(as_actor(server, "pc", password))


def test_a_ban_that_comes_with_the_end_of_a_token_is_lifted_by_the_next_one(
    server: RedisServer, sync: UserSync, launcher: redis.Redis
) -> None:
    create_token("pc", address="h:1")
    sync.sync()
    launcher.hset(KEYS.banned, "pc", "floods")
    revoke_token("pc")
    sync.sync()
    _, password = create_token("pc", address="h:1")
    sync.sync()
    assert current_run(as_actor(server, "pc", password)) == "run"


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
