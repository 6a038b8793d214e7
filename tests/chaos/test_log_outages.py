"""Redis is killed, cut off, filled and stopped under a living writer: nothing is lost or doubled."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from common.config import Config
from common.keys import Keys
from common.wire import EncodedSegment
from replay_server.connection import OUTAGES, connect
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.log_link import LogLink
from replay_server.log_reader import MISSING, LogReader
from replay_server.log_writer import LogWriter
from replay_server.process import ReplayProcess
from replay_server.retention import trim_at_rest
from replay_server.service import ReplayService
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import (
    CONTRACT,
    assert_ids_contiguous,
    ingest_all,
    make_service,
    make_writer,
    read_everything,
    register_actor,
    request,
    tags,
    write,
)
from tests.support.segments import FULL, SMALL, make_segment

pytestmark = [pytest.mark.redis, pytest.mark.chaos]
KEYS = Keys("chaos")


def pump(service: ReplayService, stop: threading.Event) -> None:
    """Ingests and keeps house as the server does."""
    while not stop.is_set():
        try:
            service.ingest(block_ms=50)
            service.tick()
        except OUTAGES:
            stop.wait(0.05)


def assert_everything_once(
    writer: LogWriter, service: ReplayService, client: redis.Redis, count: int
) -> None:
    assert writer.flush(20)
    counters = writer.counters()
    writer.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and len(read_everything(client, KEYS)) < count:
        time.sleep(0.05)
    entries = read_everything(client, KEYS)
    assert tags(entries) == list(range(count))
    assert_ids_contiguous(entries)
    assert counters.acked_transitions == counters.appended_transitions == 20 * count
    assert counters.dropped_transitions == 0
    assert service.stats()["gaps"] == 0


@pytest.mark.parametrize("spooled", [True, False])
def test_kill_and_restart_of_redis(
    server: RedisServer, client: redis.Redis, tmp_path: Path, *, spooled: bool
) -> None:
    writer = make_writer(server.url, KEYS, spool=tmp_path / "spool" if spooled else None)
    service = make_service(client, KEYS)
    stop = threading.Event()
    thread = threading.Thread(target=pump, args=(service, stop))
    thread.start()
    for round_number in range(3):
        write(writer, range(40 * round_number, 40 * round_number + 20))
        server.kill()
        write(writer, range(40 * round_number + 20, 40 * round_number + 40))
        time.sleep(0.3)
        server.start()
    assert_everything_once(writer, service, client, 120)
    stop.set()
    thread.join()


def test_power_cut_takes_the_tail_and_it_comes_back_with_the_same_ids(
    server: RedisServer, client: redis.Redis
) -> None:
    writer = make_writer(server.url, KEYS)
    service = make_service(client, KEYS)
    write(writer, range(60))
    assert writer.flush(10)
    assert ingest_all(service) == 60
    before = [(e.first_id, e.entry_id) for e in read_everything(client, KEYS)]
    server.kill()
    server.cut_append_only_tail(30_000)
    server.start()
    assert len(read_everything(client, KEYS)) < 60
    stop = threading.Event()
    thread = threading.Thread(target=pump, args=(service, stop))
    thread.start()
    # The writer notices by itself, with nothing new to send.
    deadline = time.monotonic() + 10
    while writer.counters().resent_segments == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert_everything_once(writer, service, client, 60)
    assert [(e.first_id, e.entry_id) for e in read_everything(client, KEYS)] == before
    assert int(str(service.stats()["reindexed_segments"])) > 0
    stop.set()
    thread.join()


def test_a_reader_that_lags_at_a_power_cut_waits_for_what_is_sent_again(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_writer(server.url, KEYS)
    write(writer, range(60))
    assert writer.flush(10)
    service = make_service(client, KEYS)
    assert ingest_all(service) == 60
    reader = LogReader(client, KEYS, SMALL)
    with monkeypatch.context() as slow:
        slow.setattr(LogWriter, "_try_link", lambda _: False)
        server.kill()
        server.cut_append_only_tail(30_000)
        server.start()
        deadline = time.monotonic() + 20
        while service.stats()["reindexed_segments"] == 0 and time.monotonic() < deadline:
            service.ingest()
            service.tick()
        before = reader.read(0, 100, 0)
    assert 0 < len(before) < 60, "the index is whole again, and the log is not yet"
    assert {entry.problem for entry in before} == {None}
    deadline = time.monotonic() + 20
    while writer.counters().resent_segments == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert writer.flush(10)
    writer.close()
    rest = reader.read(before[-1].first_id + before[-1].count, 100, 0)
    assert tags(before) + tags(rest) == list(range(60))
    assert {entry.problem for entry in rest} == {None}


def test_a_reader_does_not_wait_for_ever_for_an_actor_that_never_sends_again(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replay_server.log_reader.COMES_AGAIN_S", 0.3)
    writer = make_writer(server.url, KEYS)
    write(writer, range(10))
    writer.close()
    ingest_all(make_service(client, KEYS))
    client.delete(KEYS.meta("a1"), KEYS.frames("a1"))
    reader = LogReader(client, KEYS, SMALL)
    assert reader.read(0, 100, 0) == []
    time.sleep(0.4)
    assert [entry.problem for entry in reader.read(0, 100, 0)] == [MISSING] * 10


def test_a_stopped_redis_that_wakes_up_doubles_nothing(
    server: RedisServer, client: redis.Redis
) -> None:
    writer = make_writer(server.url, KEYS)
    write(writer, range(10))
    assert writer.flush(10)
    server.pause()
    write(writer, range(10, 20))
    time.sleep(4.5)
    server.resume()
    write(writer, range(20, 30))
    service = make_service(client, KEYS)
    assert writer.flush(10)
    ingest_all(service)
    assert_everything_once(writer, service, client, 30)


def test_a_restarted_writer_sends_its_spool_first(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    writer = make_writer(server.url, KEYS, spool=spool)
    write(writer, range(10))
    assert writer.flush(10)
    server.kill()
    write(writer, range(10, 20))
    writer.close(timeout_s=0.5)
    waiting = len(list((spool / "a1").iterdir()))
    assert waiting == 20, "what Redis confirmed just before it died is kept, too"
    second = make_writer(server.url, KEYS, spool=spool)
    assert second.counters().spooled_segments == 20
    write(second, range(20, 30))
    server.start()
    assert second.flush(10)
    service = make_service(client, KEYS)
    assert ingest_all(service) == 30
    entries = read_everything(client, KEYS)
    assert tags(entries) == list(range(30))
    assert len({entry.entry_id.partition("-")[0] for entry in entries}) == 2
    assert list((spool / "a1").iterdir()) == []
    second.close()


def test_a_killed_writer_process_leaves_its_spool(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    server.kill()
    program = (
        "import sys, time; from pathlib import Path; from tests.support.replay_rig import *\n"
        "writer = make_writer(sys.argv[1], Keys('chaos'), spool=Path(sys.argv[2]))\n"
        "write(writer, range(10)); time.sleep(60)\n"
    )
    spool = tmp_path / "spool"
    victim = subprocess.Popen([sys.executable, "-c", program, server.url, str(spool)])
    deadline = time.monotonic() + 20
    while len(list(spool.rglob("*.segment"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    victim.kill()
    victim.wait()
    (next(spool.rglob("*.segment")).with_suffix(".tmp")).write_bytes(b"half a segment")
    server.start()
    writer = make_writer(server.url, KEYS, spool=spool)
    write(writer, range(10, 15))
    assert writer.flush(10)
    writer.close()
    ingest_all(make_service(client, KEYS))
    assert tags(read_everything(client, KEYS)) == list(range(15))
    assert list(spool.rglob("*.*")) == []


def test_a_clock_set_back_while_redis_is_away(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_writer(server.url, KEYS)
    write(writer, range(5))
    writer.close()
    server.kill()
    real = time.time
    monkeypatch.setattr("replay_server.log_writer.time.time", lambda: real() - 3600)
    second = make_writer(server.url, KEYS)
    assert second.epoch < writer.epoch
    write(second, range(5, 10))
    server.start()
    assert second.flush(10)
    assert second.epoch == writer.epoch + 1
    assert not second.fenced
    second.close()
    ingest_all(make_service(client, KEYS))
    assert tags(read_everything(client, KEYS)) == list(range(10))


def test_the_older_of_two_writers_is_fenced(server: RedisServer, client: redis.Redis) -> None:
    older = make_writer(server.url, KEYS)
    write(older, range(5))
    assert older.flush(10)
    newer = make_writer(server.url, KEYS)
    write(newer, range(5, 10))
    assert newer.flush(10)
    write(older, range(100, 105))
    deadline = time.monotonic() + 10
    while not older.fenced and time.monotonic() < deadline:
        time.sleep(0.02)
    assert older.fenced
    assert not newer.fenced
    write(older, range(105, 107))
    write(newer, range(10, 12))
    assert newer.flush(10)
    assert older.counters().dropped_transitions == 7 * 20
    older.close()
    newer.close()
    ingest_all(make_service(client, KEYS))
    assert tags(read_everything(client, KEYS)) == list(range(12))


def test_a_full_redis_makes_the_writer_spool_and_recover(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    writer = make_writer(server.url, KEYS, spool=tmp_path / "spool")
    write(writer, range(5))
    assert writer.flush(10)
    client.config_set("maxmemory", "1")
    write(writer, range(5, 15))
    assert not writer.flush(1.0)
    assert writer.counters().spooled_segments == 10
    client.config_set("maxmemory", "0")
    service = make_service(client, KEYS)
    assert writer.flush(10)
    ingest_all(service)
    assert_everything_once(writer, service, client, 15)


def fill(writer: LogWriter, service: ReplayService, client: redis.Redis) -> None:
    """Makes Redis full with a log of 12,000 transitions, of which the learner needs the last 200."""
    client.config_set("maxmemory-policy", "noeviction")
    write(writer, range(600))
    assert writer.flush(20)
    assert ingest_all(service) == 600
    service.sample(request(low=100, high=12_000, needed_from=100))
    service.save_snapshot()
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", str(used - 200_000))
    with pytest.raises(redis.OutOfMemoryError):
        client.set("probe", b"x")


def test_a_running_service_drains_a_full_redis(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    writer = make_writer(server.url, KEYS, spool=tmp_path / "spool")
    service = make_service(client, KEYS, capacity=1000)
    fill(writer, service, client)
    write(writer, range(600, 610))
    service.sample(request(low=11_800, high=12_000, needed_from=11_800))
    stop = threading.Event()
    thread = threading.Thread(target=pump, args=(service, stop))
    thread.start()
    try:
        assert writer.flush(10), "the log was not trimmed"
        deadline = time.monotonic() + 10
        while service.stats()["next_id"] != 610 * 20 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        stop.set()
        thread.join()
        writer.close()
    service.ingest()
    entries = read_everything(client, KEYS)
    assert entries[0].first_id >= 11_000
    assert tags(entries)[-1] == 609
    assert_ids_contiguous(entries)


def test_a_restarted_service_drains_a_full_redis(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    config = Config.model_validate({"replay": {"capacity": 1000}})
    put_contract(client, KEYS, replace(CONTRACT, config_json=config.model_dump_json()))
    writer = make_writer(server.url, KEYS, spool=tmp_path / "spool")
    fill(writer, make_service(client, KEYS, capacity=100_000), client)
    write(writer, range(600, 610))
    process = ReplayProcess(server.url, KEYS)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        assert writer.flush(15), "the log was not trimmed"
        deadline = time.monotonic() + 10
        while not client.exists(KEYS.service) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.exists(KEYS.service)
    finally:
        client.config_set("maxmemory", "0")
        Control(client, KEYS).set("stopped")
        thread.join()
        writer.close()


def test_a_run_at_rest_is_trimmed_as_far_as_its_snapshot_allows(
    server: RedisServer, client: redis.Redis
) -> None:
    writer = make_writer(server.url, KEYS)
    service = make_service(client, KEYS, capacity=1000)
    fill(writer, service, client)
    writer.close()
    assert trim_at_rest(client, KEYS, capacity=11_000) == 5
    assert read_everything(client, KEYS)[0].first_id == 100
    assert trim_at_rest(client, KEYS, capacity=1000) == 495
    client.set("probe", b"x")


def test_a_full_spool_drops_whole_oldest_episodes(server: RedisServer, tmp_path: Path) -> None:
    register_actor(server.url, KEYS, "a1")
    server.kill()
    writer = make_writer(server.url, KEYS, spool=tmp_path / "spool", limit=30_000)
    write(writer, range(60), end_every=6)
    time.sleep(1.0)
    server.start()
    assert writer.flush(10)
    counters = writer.counters()
    writer.close()
    client = connect(server.url, name="test")
    service = make_service(client, KEYS)
    ingest_all(service)
    kept = tags(read_everything(client, KEYS))
    assert kept == list(range(kept[0], 60))
    assert kept[0] % 6 == 0
    assert counters.dropped_transitions == kept[0] * 20
    assert service.stats()["gaps"] in (0, kept[0])
    client.close()


def test_append_never_waits_for_redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    busy_bytes = 1_000_000
    monkeypatch.setattr("replay_server.log_writer.BUSY_BYTES", busy_bytes)
    writer = make_writer(server.url, KEYS)
    segment = make_segment(spec=FULL)
    server.pause()

    def drive() -> None:
        for _ in range(20):
            writer.append(segment)

    actor = threading.Thread(target=drive)
    actor.start()
    try:
        actor.join(timeout=60)
        assert not actor.is_alive(), "append returned while Redis was still away"
        assert writer._unsent_bytes() > 4 * busy_bytes, "it had to wait for the sender"
    finally:
        server.resume()
    actor.join()
    assert writer.flush(20)
    writer.close()


@pytest.mark.parametrize("spooled", [True, False])
def test_a_slow_redis_does_not_fill_the_memory(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, spooled: bool
) -> None:
    monkeypatch.setattr("replay_server.log_writer.BUSY_BYTES", 1_000_000)
    monkeypatch.setattr("replay_server.log_writer.LONGEST_APPEND_S", 0.001)
    append = LogLink.append

    def slowly(link: LogLink, segments: Sequence[EncodedSegment]) -> bool:
        time.sleep(0.1)
        return append(link, segments)

    monkeypatch.setattr(LogLink, "append", slowly)
    spool = tmp_path / "spool" if spooled else None
    writer = make_writer(server.url, KEYS, spool=spool, limit=10**9 if spooled else 4_000_000)
    most_unsent = 0
    for _ in range(200):
        writer.append(make_segment(spec=FULL))
        most_unsent = max(most_unsent, writer._unsent_bytes())
        time.sleep(0.002)
    assert most_unsent < 30_000_000, "200 segments are 52 MB"
    assert writer.flush(60)
    counters = writer.counters()
    writer.close()
    assert (counters.dropped_transitions == 0) == spooled


def test_kill_of_the_service_at_any_point(server: RedisServer, client: redis.Redis) -> None:
    writer = make_writer(server.url, KEYS)
    stop = threading.Event()
    written = itertools.count()

    def feed() -> None:
        while not stop.is_set():
            tag = next(written)
            write(writer, range(tag, tag + 1))
            time.sleep(0.005)

    feeder = threading.Thread(target=feed)
    feeder.start()
    program = (
        "import sys; from tests.support.replay_rig import *; from common.keys import Keys\n"
        "service = make_service(connect(sys.argv[1], name='victim'), Keys('chaos'))\n"
        "while True:\n    service.ingest(block_ms=50); service.tick()\n"
    )
    seen: list[tuple[int, str]] = []
    rng = np.random.default_rng(0)
    for _ in range(3):
        victim = subprocess.Popen([sys.executable, "-c", program, server.url], cwd=Path.cwd())
        deadline = time.monotonic() + 20
        while len(read_everything(client, KEYS)) <= len(seen) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0.0, 0.2)))
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        now = [(entry.first_id, entry.entry_id) for entry in read_everything(client, KEYS)]
        assert now[: len(seen)] == seen, "an id changed"
        seen = now
    stop.set()
    feeder.join()
    assert writer.flush(10)
    service = make_service(client, KEYS)
    ingest_all(service)
    assert_everything_once(writer, service, client, next(written))


def test_priorities_go_on_while_redis_is_away(server: RedisServer, client: redis.Redis) -> None:
    writer = make_writer(server.url, KEYS)
    write(writer, range(20))
    writer.close()
    service = make_service(client, KEYS)
    ingest_all(service)
    server.kill()
    reply = service.sample(request(high=400))
    assert reply.status == "ok"
    updates = [(reply.ids[0], np.full(32, 3.0, np.float32))]
    assert service.sample(request(high=400, updates=updates)).status == "ok"
    with pytest.raises(OUTAGES):
        service.save_snapshot()
    server.start()
    service.save_snapshot()
