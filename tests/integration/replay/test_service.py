import time
from typing import Any

import numpy as np
import pytest
import redis

from common.config import LearnerConfig, ReplayConfig
from common.errors import CorruptError, MismatchError
from common.keys import Keys
from replay_server.episodes import read_episodes
from replay_server.index import IndexEntry
from replay_server.rate_limiter import read_limiter
from replay_server.service import ReplayService
from replay_server.snapshot import seed_snapshot
from tests.support.replay_rig import (
    CONTRACT,
    WriteLog,
    assert_ids_contiguous,
    ingest_all,
    make_service,
    make_writer,
    read_everything,
    request,
    tags,
    write,
)

pytestmark = pytest.mark.redis


def test_the_log_reaches_the_reader_in_order_and_whole(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    writers = [make_writer(redis_url, keys, name) for name in ("a1", "a2", "a3")]
    for number, writer in enumerate(writers):
        write(writer, range(100 * number, 100 * number + 30))
    service = make_service(connection, keys)
    assert all(writer.flush(10) for writer in writers)
    assert ingest_all(service) == 90
    entries = read_everything(connection, keys)
    assert entries[0].first_id == 0
    assert_ids_contiguous(entries)
    for number in range(3):
        mine = [tag for tag in tags(entries) if tag // 100 == number]
        assert mine == list(range(100 * number, 100 * number + 30))
    episodes = read_episodes(connection, keys, after=0, count=100)
    assert [episode.n for episode in episodes] == list(range(1, 19))
    assert episodes[-1].env_steps <= 90 * 20
    assert service.stats()["gaps"] == 0
    for writer in writers:
        writer.close()


def test_ids_enter_only_below_the_watermark(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(10))
    service = make_service(connection, keys)
    ingest_all(service)
    assert service.sample(request(high=20)).status == "starved"
    for seed in range(20):
        reply = service.sample(request(high=60, low=10, seed=seed))
        assert reply.status == "ok"
        assert reply.ids.min() >= 10
        assert reply.ids.max() < 60
        assert reply.weights.max() == 1.0
    reply = service.sample(request(high=200, low=150, batches=3))
    assert reply.ids.shape == (3, 32)
    assert reply.ids.min() >= 150
    assert service.sample(request(high=190, low=150)).status == "starved"


def test_the_limiter_throttles_and_is_published(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(2))
    service = make_service(connection, keys)
    ingest_all(service)
    service.tick()
    published = read_limiter(connection, keys)
    assert published is not None
    assert published.may_insert
    replies = [service.sample(request(high=40)) for _ in range(200)]
    sampled = sum(reply.ids.size for reply in replies)
    assert replies[-1].status == "throttled"
    assert replies[-1].ids.size == 0
    assert sampled == replies[-1].limiter.sampled
    assert abs(40 * 32 - sampled) <= 32 * 63 + 32 * 32


def test_same_log_same_requests_same_batches_across_a_restart(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(40))
    first = make_service(connection, keys, capacity=500)
    ingest_all(first)
    rng = np.random.default_rng(0)

    def drive(service: ReplayService, high: int, seed: int | None) -> np.ndarray:
        low = max(0, high - 450)
        reply = service.sample(request(high=high, low=low, seed=seed, batches=2))
        assert reply.status == "ok"
        return reply.ids

    for step in range(10):
        ids = drive(first, 300 + 20 * step, step)
        values = rng.uniform(0, 3, ids[0].size).astype(np.float32)
        first.sample(
            request(updates=[(ids[0], values)], high=300 + 20 * step, invalid_ids=ids[1][:1])
        )
    state = first.state()
    expected = [drive(first, 500 + 20 * step, None if step % 2 else step) for step in range(10)]
    write_log(range(40, 50))
    second = make_service(connection, keys, capacity=500)
    ingest_all(second)
    second.restore(state)
    again = [drive(second, 500 + 20 * step, None if step % 2 else step) for step in range(10)]
    assert all(np.array_equal(one, other) for one, other in zip(expected, again, strict=True))
    with pytest.raises(CorruptError):
        second.restore(state[:-1])
    assert np.array_equal(drive(second, 700, 3), drive(second, 700, 3))


def test_a_restarted_service_has_the_same_ids_and_priorities(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(20))
    first = make_service(connection, keys)
    ingest_all(first)
    ids = first.sample(request(high=400)).ids[0]
    first.sample(request(high=400, updates=[(ids, np.full(32, 7.0, np.float32))]))
    first.save_snapshot()
    write_log(range(20, 30))
    before = read_everything(connection, keys)
    second = make_service(connection, keys)
    assert ingest_all(second) == 10
    after = read_everything(connection, keys)
    assert [(e.first_id, e.entry_id) for e in after[:20]] == [
        (e.first_id, e.entry_id) for e in before
    ]
    assert tags(after) == list(range(30))
    assert_ids_contiguous(after)
    stats, old = second.stats(), first.stats()
    assert stats["max_priority"] == 7.0
    assert stats["high"] == old["high"] == 400
    assert stats["episodes"] == 6
    assert stats["gaps"] == 0


def test_an_older_service_loses_its_right_to_append(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    older = make_service(connection, keys)
    newer = make_service(connection, keys)
    write_log(range(3))
    with pytest.raises(MismatchError, match="replay service"):
        ingest_all(older)
    with pytest.raises(MismatchError, match="replay service"):
        older.tick()
    assert ingest_all(newer) == 3
    assert tags(read_everything(connection, keys)) == [0, 1, 2]


def test_retention_trims_what_nobody_needs(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(30))
    service = make_service(connection, keys, capacity=400)
    ingest_all(service)
    service.sample(request(low=300, high=600, needed_from=100))
    service.tick()
    assert read_everything(connection, keys)[0].first_id == 100
    assert connection.xlen(keys.meta("a1")) == connection.xlen(keys.frames("a1")) == 25
    write_log(range(30, 60))
    ingest_all(service)
    time.sleep(1.0)
    service.tick()
    assert read_everything(connection, keys)[0].first_id == 400, "at most twice the capacity"
    again = make_service(connection, keys, capacity=400)
    assert ingest_all(again) == 0
    assert again.stats()["next_id"] == 1200


def test_ids_go_on_where_the_log_was_lost_but_not_the_checkpoint(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    writer = make_writer(redis_url, keys)
    write(writer, range(5))
    writer.close()
    service = make_service(connection, keys)
    ingest_all(service)
    state = service.state()
    fresh_keys = Keys(keys.run + "-fresh")
    writer = make_writer(redis_url, fresh_keys)
    write(writer, range(5))
    writer.close()
    assert seed_snapshot(connection, fresh_keys, state)
    assert not seed_snapshot(connection, fresh_keys, state)
    fresh = make_service(connection, fresh_keys)
    ingest_all(fresh)
    entries = read_everything(connection, fresh_keys)
    assert entries[0].first_id == 100
    assert [row.n for row in read_episodes(connection, fresh_keys, after=0, count=9)] == [2]
    assert fresh.sample(request(low=100, high=200)).status == "ok"


def test_a_learner_that_lost_its_window_is_not_starved_for_ever(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(30))
    service = make_service(connection, keys, start=500)
    ingest_all(service)
    assert service.sample(request(high=600)).status == "ok"
    lost = service.sample(request(low=600, high=600))
    assert lost.status == "starved"
    assert lost.limiter.may_insert
    assert lost.limiter.max_inserted >= 600 + 32
    write_log(range(30, 32))
    ingest_all(service)
    assert service.sample(request(low=600, high=640)).status == "ok"


def test_actors_may_refill_a_log_that_was_lost_at_the_edge_of_the_band(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(30))
    service = make_service(connection, keys)
    ingest_all(service)
    first = service.sample(request(high=600))
    assert not first.limiter.may_insert, "the band's upper edge"
    lost = service.sample(request(low=600, high=600))
    assert lost.status == "starved"
    assert lost.limiter.may_insert
    write_log(range(30, 32))
    ingest_all(service)
    again = service.sample(request(low=600, high=640))
    assert again.status == "ok"
    assert not again.limiter.may_insert


def test_actors_may_refill_a_log_that_was_lost_between_two_starts(
    connection: redis.Redis, write_log: WriteLog, redis_url: str, keys: Keys
) -> None:
    write_log(range(30))
    before = make_service(connection, keys)
    ingest_all(before)
    first = before.sample(request(high=600))
    assert not first.limiter.may_insert, "the band's upper edge"
    fresh_keys = Keys(keys.run + "-fresh")
    assert seed_snapshot(connection, fresh_keys, before.state())
    service = make_service(connection, fresh_keys)
    # The learner reads an empty log, so it holds nothing, while the priorities know of 600 ids.
    lost = service.sample(request())
    assert lost.status == "starved"
    assert lost.limiter.may_insert
    assert lost.limiter.max_inserted == 600 + 32
    writer = make_writer(redis_url, fresh_keys)
    write(writer, range(2))
    writer.close()
    ingest_all(service)
    assert not service.sample(request()).limiter.may_insert, "it has yet to read what is there"
    assert service.sample(request(low=600, high=640)).status == "ok"


def test_the_room_before_the_first_sample_does_not_grow_with_what_is_inserted(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    service = make_service(connection, keys, start=500)
    asked = service.sample(request())
    assert asked.status == "starved"
    most = asked.limiter.max_inserted
    assert most < 700, "the start size and the width of the band"
    # From here on the learner is busy with something else and asks no more.
    for first in range(0, 60, 20):
        write_log(range(first, first + 20))
        ingest_all(service)
        service.tick()
        published = read_limiter(connection, keys)
        assert published is not None
        assert published.inserted == (first + 20) * 20
        assert published.max_inserted == most
        assert published.may_insert == (published.inserted < most)


def test_a_restarted_service_counts_what_was_sampled_after_its_snapshot(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(30))
    first = make_service(connection, keys)
    ingest_all(first)
    # Two batches are always ahead of the learner's steps.
    first.sample(request(high=600, batches=2))
    for learner_steps in range(100):
        if learner_steps == 50:
            first.save_snapshot()
        last = first.sample(request(high=600, learner_steps=learner_steps))
    assert last.limiter.sampled == 102 * 32
    second = make_service(connection, keys)
    counted = second.sample(request(high=600, learner_steps=100)).limiter.sampled
    assert 101 * 32 <= counted <= 103 * 32


def test_a_state_of_a_later_log_is_refused(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    writer = make_writer(redis_url, keys)
    write(writer, range(30))
    writer.close()
    service = make_service(connection, keys)
    ingest_all(service)
    service.sample(request(low=500, high=600))
    state = service.state()
    other_keys = Keys(keys.run + "-other")
    writer = make_writer(redis_url, other_keys)
    write(writer, range(5))
    writer.close()
    other = make_service(connection, other_keys)
    ingest_all(other)
    with pytest.raises(CorruptError, match="does not belong to this log"):
        other.restore(state)
    assert other.sample(request(high=100)).status == "ok"


def test_only_the_thread_that_ingests_writes_the_index(
    connection: redis.Redis, write_log: WriteLog, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(range(10))
    service = make_service(connection, keys)
    ingest_all(service)
    connection.delete(keys.index)
    appended: list[int] = []
    append = service._store.append

    def counted(*arguments: Any) -> int:
        appended.append(append(*arguments))
        return appended[-1]

    monkeypatch.setattr(service._store, "append", counted)
    service.tick()
    assert appended == [], "housekeeping must leave the index to the other thread"
    before = time.monotonic()
    service.ingest(block_ms=1000)
    assert time.monotonic() - before < 0.5
    assert appended == [10]
    assert service.stats()["reindexed_segments"] == 10
    assert tags(read_everything(connection, keys)) == list(range(10))


def test_trimming_between_the_look_and_the_append_costs_nothing(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(10))
    service = make_service(connection, keys)
    ingest_all(service)
    entries_since = service._entries_since

    lengths = iter((9, 8))

    def trimmed_meanwhile(low: int) -> list[IndexEntry]:
        if length := next(lengths, 0):
            connection.xtrim(keys.index, maxlen=length, approximate=False)
        return entries_since(low)

    write_log(range(10, 11))
    assert service._store.append(trimmed_meanwhile, ()) == 0
    assert service.ingest(block_ms=300) == 1


def test_uniform_replay_ignores_priorities(
    connection: redis.Redis, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(5))
    service = ReplayService(
        connection,
        keys,
        contract=CONTRACT,
        replay=ReplayConfig(prioritized=False),
        learner=LearnerConfig(),
    )
    ingest_all(service)
    reply = service.sample(request(high=100))
    assert reply.weights == pytest.approx(1.0)
    updates = [(reply.ids[0], np.full(32, 50.0, np.float32))]
    assert service.sample(request(high=100, updates=updates)).weights == pytest.approx(1.0)
