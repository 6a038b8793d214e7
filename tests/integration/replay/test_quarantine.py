"""Poison in the log is set aside, counted, and stops nothing."""

from collections import Counter

import numpy as np
import pytest
import redis
from structlog.testing import capture_logs

from common.keys import Keys
from common.wire import encode_segment
from replay_server.connection import call
from replay_server.quarantine import KEPT_BYTES, KEPT_ENTRIES, Refused, quarantine
from replay_server.refusal_book import RefusalBook
from replay_server.refusals import MAX_REASON_CHARACTERS, read_refusals, total_by_kind
from tests.support.poison import FOREIGN, POISON
from tests.support.replay_rig import (
    CONTRACT,
    WriteLog,
    assert_ids_contiguous,
    ingest_all,
    make_service,
    read_everything,
    request,
    tags,
)
from tests.support.segments import make_segment

pytestmark = pytest.mark.redis
EPOCH = 1000


def test_poison_stops_nothing(connection: redis.Redis, write_log: WriteLog, keys: Keys) -> None:
    service = make_service(connection, keys)
    write_log(range(5))
    every = [*POISON.values(), *(poison for _, poison in FOREIGN.values())]
    for seq, poison in enumerate(every, start=1):
        entry = f"{EPOCH}-{seq}"
        connection.xadd(keys.meta("evil"), {"m": poison("evil", EPOCH, seq)}, id=entry)
        connection.xadd(keys.frames("evil"), {"f": b"x"}, id=entry)
    connection.xadd(keys.meta("evil"), {"other": b"field"}, id=f"{EPOCH}-{len(every) + 1}")
    connection.sadd(keys.actors, "evil", "../../etc", "a:b", b"\xff\xfe")
    write_log(range(5, 10))
    with capture_logs() as logs:
        assert ingest_all(service) == 10
    assert service.stats()["quarantined"] == len(every) + 1
    assert service.stats()["gaps"] == 0
    assert connection.xlen(keys.quarantine) == len(every) + 1
    assert connection.xlen(keys.meta("evil")) == connection.xlen(keys.frames("evil")) == 0
    refused = call(connection, "XRANGE", keys.quarantine, "-", "+")
    reasons = [fields[b"reason"].decode() for _, fields in refused]
    assert all(reasons)
    assert all(text.isprintable() and len(text) <= MAX_REASON_CHARACTERS for text in reasons)
    expected = Counter({"damaged": len(POISON), "fields": 1})
    expected.update(kind for kind, _ in FOREIGN.values())
    assert read_refusals(connection, keys) == {"evil": expected}
    assert len([each for each in logs if each["event"] == "segments_quarantined"]) == 1
    entries = read_everything(connection, keys)
    assert sorted(tags(entries)) == list(range(10))
    assert_ids_contiguous(entries)
    again = make_service(connection, keys)
    assert ingest_all(again) == 0


def test_the_quarantine_is_bounded_in_bytes(connection: redis.Redis, keys: Keys) -> None:
    refused = [
        Refused(f"{EPOCH}-{seq}", "damaged", "x" * 100_000, b"m" * 100_000) for seq in range(1, 33)
    ]
    book = RefusalBook(connection, keys)
    for _ in range(60):
        quarantine(connection, keys, book, actor="evil", refused=refused)
    most = (KEPT_ENTRIES + 100) * (KEPT_BYTES + MAX_REASON_CHARACTERS + 1000)
    assert connection.memory_usage(keys.quarantine, samples=0) < most
    assert total_by_kind(read_refusals(connection, keys)) == {"damaged": 60 * 32}


def test_damaged_frames_reach_the_learner_as_ids_to_exclude(
    connection: redis.Redis, keys: Keys
) -> None:
    service = make_service(connection, keys)
    good = encode_segment(
        make_segment(contract=CONTRACT.fingerprint, epoch=5, seq=1, steps=20, tag=7)
    )
    for seq, frames in enumerate((good.frames, good.frames[:-1] + b"\x00", None, b""), start=1):
        entry = encode_segment(
            make_segment(contract=CONTRACT.fingerprint, epoch=5, seq=seq, steps=20, tag=7)
        )
        connection.xadd(keys.meta("a1"), {"m": entry.meta}, id=entry.entry_id)
        if frames is not None:
            connection.xadd(keys.frames("a1"), {"f": frames}, id=entry.entry_id)
    connection.sadd(keys.actors, "a1")
    assert ingest_all(service) == 4
    entries = read_everything(connection, keys)
    assert [entry.problem is None for entry in entries] == [True, False, False, False]
    assert connection.xlen(keys.quarantine) == 3
    assert read_refusals(connection, keys) == {"a1": Counter(frames=3)}
    again = read_everything(connection, keys)
    assert [entry.first_id for entry in again] == [0, 20, 40, 60]
    assert again[1].problem == "the log no longer has it"
    bad = [
        each
        for entry in entries
        if entry.segment is None
        for each in range(entry.first_id, entry.first_id + entry.count)
    ]
    service.sample(request(high=80, invalid_ids=np.array(bad, np.int64)))
    for seed in range(10):
        reply = service.sample(request(high=80, seed=seed))
        assert set(reply.ids.ravel().tolist()).isdisjoint(bad)


def test_gaps_in_an_actors_numbers_are_counted(connection: redis.Redis, keys: Keys) -> None:
    service = make_service(connection, keys)
    connection.sadd(keys.actors, "a1")
    for epoch, seq in ((5, 1), (5, 2), (5, 5), (6, 1), (6, 2), (7, 3)):
        entry = encode_segment(
            make_segment(contract=CONTRACT.fingerprint, epoch=epoch, seq=seq, steps=20)
        )
        connection.xadd(keys.meta("a1"), {"m": entry.meta}, id=entry.entry_id)
    assert ingest_all(service) == 6
    assert service.stats()["gaps"] == 2 + 2
