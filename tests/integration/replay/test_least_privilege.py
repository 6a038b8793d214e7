"""The commands that each role really needs, so that an access list can grant no others."""

from collections.abc import Iterator

import pytest
import redis

from common.keys import Keys
from replay_server.connection import call, check_server, connect
from replay_server.contract_store import get_contract, put_contract
from replay_server.control import Control
from replay_server.episodes import last_episode_number
from replay_server.hearts import beat
from replay_server.log_reader import LogReader
from replay_server.rate_limiter import read_limiter
from replay_server.weights_store import WeightsStore
from tests.support.replay_rig import (
    CONTRACT,
    WriteLog,
    ingest_all,
    make_service,
    make_writer,
    tags,
    write,
)
from tests.support.segments import SMALL

pytestmark = pytest.mark.redis
COMMON = ["+ping", "+hello", "+auth", "+client|setname", "+select"]
ACTOR = ["+multi", "+exec", "+sadd", "+xadd", "+xinfo|stream", "+get", "+getrange", "+set"]
LEARNER = [
    "+xread",
    "+xrange",
    "+xrevrange",
    "+xinfo|stream",
    "+xadd",
    "+xdel",
    "+multi",
    "+exec",
    "+get",
    "+set",
    "+publish",
]


def add_user(connection: redis.Redis, name: str, rules: list[str]) -> None:
    call(connection, "ACL", "SETUSER", name, "reset", "on", ">pw", *COMMON, *rules)


def as_user(url: str, name: str) -> str:
    return url.replace("redis://", f"redis://{name}:pw@")


@pytest.fixture
def actor_url(connection: redis.Redis, redis_url: str, keys: Keys) -> Iterator[str]:
    own = [keys.meta("a1"), keys.frames("a1"), keys.actors, keys.heart("a1")]
    read = [keys.weights, keys.contract, keys.control, keys.limiter, keys.episodes]
    rules = [f"~{key}" for key in own] + [f"%R~{key}" for key in read]
    add_user(connection, "actor-a1", [*rules, *ACTOR])
    yield as_user(redis_url, "actor-a1")
    call(connection, "ACL", "DELUSER", "actor-a1")


def test_an_actor_needs_eight_commands_and_its_own_keys(
    connection: redis.Redis, actor_url: str, keys: Keys
) -> None:
    put_contract(connection, keys, CONTRACT)
    actor = connect(actor_url, name="actor")
    facts = check_server(actor, url=actor_url)
    assert facts.version >= (7, 0)
    assert facts.used_memory_bytes is None
    assert get_contract(actor, keys) == CONTRACT
    assert WeightsStore(actor, keys).version() is None
    assert Control(actor, keys).state() is None
    assert read_limiter(actor, keys) is None
    assert last_episode_number(actor, keys) == 0, "of an epsilon that is counted in episodes"
    connection.xadd(keys.episodes, {"n": "3"}, id="3-1")
    assert last_episode_number(actor, keys) == 3
    beat(actor, keys, "a1", {"fps": 20.0})
    writer = make_writer(actor_url, keys)
    write(writer, range(3))
    assert writer.flush(10)
    writer.close()
    foreign = make_writer(actor_url, keys, "a2")
    write(foreign, range(3))
    assert not foreign.flush(0.5), "it keeps what it may not write"
    foreign.close(timeout_s=0.1)
    assert not connection.exists(keys.meta("a2"))
    with pytest.raises(redis.ResponseError):
        WeightsStore(actor, keys).publish(0, b"\0" * 8)
    actor.close()


def test_a_learner_reads_the_log_and_never_writes_a_segment(
    connection: redis.Redis, redis_url: str, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(3))
    ingest_all(make_service(connection, keys))
    prefix = keys.index.removesuffix("index")
    rules = [f"%R~{prefix}*", f"~{keys.weights}", f"~{keys.quarantine}", f"&{keys.weights_hint}"]
    add_user(connection, "learner", [*rules, *LEARNER])
    learner = connect(as_user(redis_url, "learner"), name="learner")
    reader = LogReader(learner, keys, SMALL)
    assert reader.bounds() == (0, 60)
    assert tags(reader.read(None, 10, 0)) == [0, 1, 2]
    (entry, *_), *_ = call(connection, "XRANGE", keys.frames("a1"), "-", "+")
    connection.xdel(keys.frames("a1"), entry)
    assert tags(reader.read(None, 10, 0)) == [1, 2], "it passes over what it may not move"
    WeightsStore(learner, keys).publish(5, b"\0" * 7 + b"\x05")
    with pytest.raises(redis.ResponseError):
        learner.xadd(keys.meta("a1"), {"m": b"x"})
    learner.close()
    call(connection, "ACL", "DELUSER", "learner")
