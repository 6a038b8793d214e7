"""What a hostile actor does to its own streams ends there, and no honest one is taken for it."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from common.config import Config
from common.contract import Contract
from common.errors import MismatchError
from common.keys import Keys
from replay_server import quota as quota_module
from replay_server.connection import connect
from replay_server.hearts import beat, read_all
from replay_server.quota import Quota
from replay_server.refusals import lift_ban, read_bans, read_refusals
from replay_server.service import ReplayService
from tests.support.access_rig import add_actor
from tests.support.hostile_actor import ATTACKS, ESCAPES, HUGE, HostileActor
from tests.support.ledger import audit
from tests.support.replay_rig import (
    CONTRACT,
    WriteLog,
    ingest_all,
    make_service,
    make_writer,
    read_everything,
    register_actor,
    serving,
    tags,
    write,
)
from tests.support.segments import FULL, make_segment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis


@pytest.fixture
def evil(connection: redis.Redis, redis_url: str, keys: Keys) -> Iterator[HostileActor]:
    register_actor(redis_url, keys, "evil")
    actor = HostileActor(add_actor(connection, redis_url, keys, "evil"), keys, "evil")
    yield actor
    actor.redis.close()
    connection.delete(keys.meta("evil"), keys.frames("evil"), keys.heart("evil"))
    connection.execute_command("ACL", "DELUSER", "actor:evil")  # type: ignore[no-untyped-call]


@contextmanager
def looking_often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quota_module, "LOOK_PERIOD_S", 0.0)
        patch.setattr("replay_server.segment_follower.DISCOVERY_PERIOD_S", 0.0)
        patch.setattr("replay_server.segment_follower.DISCOVERIES_PER_S", 1e9)
        yield


@pytest.mark.parametrize(
    ("attack", "kind"),
    [
        ("huge-metadata", None),
        ("huge-frames", None),
        ("hidden-twin", None),
        ("orphans", "orphans"),
        ("frameless", "unpaired"),
        ("trims-itself", "unpaired"),
        ("tiny-flood", "unpaired"),
    ],
)
def test_who_abuses_its_streams_is_shut_out_and_they_are_emptied(
    evil: HostileActor, connection: redis.Redis, attack: str, kind: str | None
) -> None:
    keys = evil.keys
    service = make_service(connection, keys)
    with looking_often():
        service.ingest()
        ATTACKS[attack](evil)
        wait_until(lambda: (service.ingest(), read_bans(connection, keys))[1], timeout_s=10)
        service.ingest()
    assert read_bans(connection, keys).keys() == {"evil"}
    if kind is not None:
        assert kind in read_refusals(connection, keys)["evil"]
    held = connection.memory_usage(keys.meta("evil"), samples=0) or 0
    held += connection.memory_usage(keys.frames("evil"), samples=0) or 0
    assert held < 10_000
    assert service.stats()["banned"] == 1


def test_a_ban_that_a_person_lifts_starts_the_count_anew(
    connection: redis.Redis, keys: Keys, evil: HostileActor
) -> None:
    service = make_service(connection, keys)
    with looking_often():
        service.ingest()
        ATTACKS["many-fields"](evil)
        for _ in range(210):
            ATTACKS["many-fields"](evil)
        wait_until(lambda: (service.ingest(), read_bans(connection, keys))[1])
        assert lift_ban(connection, keys, "evil")
        segment = evil.segment(next(evil.seqs))
        connection.xadd(keys.meta("evil"), {"m": segment.meta}, id=segment.entry_id)
        wait_until(lambda: service.ingest(block_ms=50) == 1)
        assert read_bans(connection, keys) == {}


def test_an_honest_actor_with_a_whole_spool_is_never_taken_for_a_hostile_one(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    connection = connect(redis_url, name="test")
    segments = 980  # fills the spool to the brim

    writer = make_writer("redis://127.0.0.1:1/0", keys, spool=tmp_path, limit=256_000_000)
    model = make_segment(spec=FULL, steps=59)
    for tag in range(segments):
        rewards = np.full(59, tag, np.float32)
        writer.append(replace(model, meta=replace(model.meta, rewards=rewards, episode=tag)))
    writer.close(timeout_s=0.0)
    register_actor(redis_url, keys, "a1")
    full = replace(CONTRACT, spec=FULL)

    def serve() -> ReplayService:
        config = Config()
        return ReplayService(
            connection, keys, contract=full, replay=config.replay, learner=config.learner
        )

    first = serve()
    back = make_writer(redis_url, keys, spool=tmp_path, limit=256_000_000)
    began = time.monotonic()
    while back.counters().acked_transitions < segments * 59 // 2:
        first.ingest(block_ms=50)
        assert time.monotonic() < began + 60
    assert back.flush(60)  # while no service runs
    second = serve()
    ingest_all(second)
    time.sleep(1.1)
    second.ingest()
    assert back.counters().dropped_transitions == 0
    back.close()
    books = audit(connection, keys, {"a1": segments})
    assert (books.lost, books.doubled) == ([], [])
    assert second.stats()["next_id"] == segments * 59
    assert read_bans(connection, keys) == {}
    assert read_refusals(connection, keys) == {}
    connection.delete(keys.meta("a1"), keys.frames("a1"))
    connection.close()


def test_a_backlog_counts_only_where_memory_is_short_and_it_does_not_shrink(
    connection: redis.Redis, keys: Keys, evil: HostileActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_module, "LOOK_PERIOD_S", 0.0)
    monkeypatch.setattr(quota_module, "PATIENCE_S", 0.3)

    def looked(contract: Contract) -> dict[str, str]:
        quota = Quota(connection, keys, contract, retained=Counter)
        quota.look(["evil"])
        ATTACKS["valid-flood"](evil)
        time.sleep(0.4)
        quota.look(["evil"])
        return quota.banned

    config = Config()
    short = config.model_copy(
        update={
            "replay": config.replay.model_copy(update={"max_redis_bytes": 20_000}),
            "actors": config.actors.model_copy(update={"spool_max_bytes": 10_000}),
        }
    )
    ATTACKS["valid-flood"](evil)
    assert looked(CONTRACT) == {}, "there is room"
    tight = replace(CONTRACT, config_json=short.model_dump_json())
    quota = Quota(connection, keys, tight, retained=Counter)
    quota.look(["evil"])
    time.sleep(0.4)
    connection.xtrim(keys.meta("evil"), maxlen=100, approximate=False)
    connection.xtrim(keys.frames("evil"), maxlen=100, approximate=False)
    quota.look(["evil"])
    assert quota.banned == {}, "it shrinks"
    assert looked(tight).keys() == {"evil"}


def test_entries_with_the_largest_numbers_count_little_and_shut_out_only_their_own_name(
    connection: redis.Redis, redis_url: str, keys: Keys, evil: HostileActor, write_log: WriteLog
) -> None:
    service = make_service(connection, keys)
    ATTACKS["far-future"](evil)
    write_log(range(3))
    assert ingest_all(service) == 4
    gaps = service.stats()["gaps"]
    assert isinstance(gaps, int)
    assert gaps <= 2**53
    service.tick()
    assert sorted(tags(read_everything(connection, keys))) == [0, 0, 1, 2]
    successor = make_writer(redis_url, keys, "evil")
    with pytest.raises(MismatchError, match="no number left"):
        successor.raise_failure()
    successor.close()
    connection.delete(keys.meta("evil"), keys.frames("evil"))


def test_a_heartbeat_says_only_what_its_readers_can_bear(
    connection: redis.Redis, keys: Keys, evil: HostileActor
) -> None:
    beat(connection, keys, "a1", {"fps": 20.0, "game_state": "driving", "last_finish_ms": None})
    for value in (b"h" * HUGE, b"\xc1", b"\x91" * 50_000 + b"\xc0", b"\xdf\xff\xff\xff\xff"):
        evil.redis.set(evil.heart, value, ex=10)
        assert read_all(connection, keys).keys() == {"a1"}
    beat(
        connection,
        keys,
        "evil",
        {
            "fps": "fast",
            "env_steps": None,
            "faults": [1],
            "fault_causes": [],
            "pid": True,
            "late_steps": float("nan"),
            "time": 2**63,
            ESCAPES: 1,
            "host": ESCAPES,
            "note": "n",
        },
    )
    hearts = read_all(connection, keys)
    assert hearts["evil"] == {"note": "n"}
    assert hearts["a1"] == {"fps": 20.0, "game_state": "driving", "last_finish_ms": None}
    for seconds in (None, 10**9):
        evil.redis.set(evil.heart, b"\x80", ex=seconds)
        assert read_all(connection, keys).keys() == {"a1"}, "it would look alive for ever"


def test_a_flood_of_valid_segments_leaves_room_for_the_others(
    connection: redis.Redis,
    redis_url: str,
    keys: Keys,
    evil: HostileActor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("replay_server.pace.LEAST_PER_S", 100)
    with serving(redis_url, keys, capacity=100) as service:
        for _ in range(10):
            ATTACKS["valid-flood"](evil)
        writer = make_writer(redis_url, keys)
        write(writer, range(3))
        assert writer.flush(10)
        writer.close()
        wait_until(lambda: service.stats()["actors"] == 2, timeout_s=5)
        wait_until(lambda: "a1" in {each.actor for each in read_everything(connection, keys)})
        entered = service.stats()["segments_inserted"]
    assert isinstance(entered, int)
    assert entered < 10 * 500
