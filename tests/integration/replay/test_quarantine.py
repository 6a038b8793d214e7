"""Poison in the log is set aside, counted, and stops nothing."""

import zlib
from collections.abc import Callable

import msgpack
import numpy as np
import pytest
import redis

from common.keys import Keys
from common.wire import encode_segment
from replay_server.connection import call
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


def sealed(packed: bytes) -> bytes:
    return zlib.crc32(packed).to_bytes(4, "little") + packed


def fields_of(seq: int, **changes: object) -> dict[str, object]:
    segment = make_segment(
        contract=CONTRACT.fingerprint, actor="evil", epoch=EPOCH, seq=seq, steps=20
    )
    fields: dict[str, object] = msgpack.unpackb(encode_segment(segment).meta[4:])
    return {**fields, **changes}


POISON: dict[str, Callable[[int], bytes]] = {
    "truncated": lambda seq: sealed(msgpack.packb(fields_of(seq)))[:-7],
    "garbage": lambda seq: b"\x00garbage\xff" * (seq + 1),
    "empty": lambda _: b"",
    "deep": lambda _: sealed(b"\x91" * 100_000 + b"\xc0"),
    "map of 4 Gi": lambda _: sealed(b"\xdf\xff\xff\xff\xff"),
    "empty maps": lambda _: sealed(b"\xdd\x00\x2d\xc6\xc0" + b"\x80" * 3_000_000),
    "not a number": lambda seq: sealed(
        msgpack.packb(fields_of(seq, rewards=b"\x00\x00\xc0\x7f" * 20))
    ),
    "wrong shape": lambda seq: sealed(msgpack.packb(fields_of(seq, steps=19))),
    "wrong contract": lambda seq: sealed(msgpack.packb(fields_of(seq, contract="0" * 64))),
    "wrong crc": lambda seq: b"\x00\x00\x00\x00" + msgpack.packb(fields_of(seq)),
    "unknown action": lambda seq: sealed(msgpack.packb(fields_of(seq, actions=b"\xff" * 20))),
    "another actor": lambda seq: sealed(msgpack.packb(fields_of(seq, actor="a1"))),
    "another id": lambda seq: sealed(msgpack.packb(fields_of(seq + 1))),
}


def test_poison_stops_nothing(connection: redis.Redis, write_log: WriteLog, keys: Keys) -> None:
    service = make_service(connection, keys)
    write_log(range(5))
    for seq, poison in enumerate(POISON.values(), start=1):
        entry = f"{EPOCH}-{seq}"
        connection.xadd(keys.meta("evil"), {"m": poison(seq)}, id=entry)
        connection.xadd(keys.frames("evil"), {"f": b"x"}, id=entry)
    connection.xadd(keys.meta("evil"), {"other": b"field"}, id=f"{EPOCH}-{len(POISON) + 1}")
    connection.sadd(keys.actors, "evil", "../../etc", "a:b", b"\xff\xfe")
    write_log(range(5, 10))
    assert ingest_all(service) == 10
    assert service.stats()["quarantined"] == len(POISON) + 1
    assert service.stats()["gaps"] == 0
    assert connection.xlen(keys.quarantine) == len(POISON) + 1
    assert connection.xlen(keys.meta("evil")) == connection.xlen(keys.frames("evil")) == 0
    refused = call(connection, "XRANGE", keys.quarantine, "-", "+")
    reasons = [fields[b"reason"] for _, fields in refused]
    assert all(reasons)
    entries = read_everything(connection, keys)
    assert sorted(tags(entries)) == list(range(10))
    assert_ids_contiguous(entries)
    again = make_service(connection, keys)
    assert ingest_all(again) == 0


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
