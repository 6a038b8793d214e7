"""A follower of very many streams reads each entry once and in order, and no more often than it may."""

import itertools
import time
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from common.keys import Keys
from common.segment import Segment
from common.wire import encode_segment
from replay_server.connection import call, connect
from replay_server.index import EntryId
from replay_server.quota import Quota
from replay_server.registry import register
from replay_server.segment_follower import STREAMS_PER_S, SegmentFollower
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import CONTRACT
from tests.support.segments import make_segment

pytestmark = pytest.mark.redis
_runs = itertools.count()
ACTORS = 300


def follower_of(connection: redis.Redis, keys: Keys) -> SegmentFollower:
    quota = Quota(connection, keys, CONTRACT, retained=Counter)
    return SegmentFollower(connection, keys, CONTRACT, quota, capacity=100_000)


def send(connection: redis.Redis, keys: Keys, actor: str, seq: int) -> None:
    model = make_segment(steps=5, contract=CONTRACT.fingerprint)
    meta = replace(model.meta, actor=actor, epoch=1, seq=seq)
    encoded = encode_segment(Segment(meta, model.frames))
    connection.xadd(keys.meta(actor), {"m": encoded.meta}, id=encoded.entry_id)


def take(
    follower: SegmentFollower, positions: dict[str, EntryId], got: dict[str, list[int]]
) -> int:
    segments = follower.poll(positions, block_ms=0)
    for segment in segments:
        assert segment.meta is not None
        assert segment.gap == 0
        got[segment.actor].append(segment.entry_id[1])
        positions[segment.actor] = segment.entry_id
    return len(segments)


@settings(max_examples=8)
@given(
    bursts=st.lists(
        st.lists(st.tuples(st.integers(0, ACTORS - 1), st.integers(1, 40)), max_size=12),
        min_size=1,
        max_size=5,
    )
)
def test_everything_comes_once_and_in_order(
    redis_server: RedisServer, bursts: list[list[tuple[int, int]]]
) -> None:
    keys = Keys(f"many-{next(_runs)}")
    connection = connect(redis_server.url, name="test")
    register(connection, keys, [f"actor-{index}" for index in range(ACTORS)])
    follower = follower_of(connection, keys)
    sent: Counter[str] = Counter()
    positions: dict[str, EntryId] = {}
    got: dict[str, list[int]] = defaultdict(list)
    for burst in bursts:
        for index, count in burst:
            actor = f"actor-{index}"
            for _ in range(count):
                sent[actor] += 1
                send(connection, keys, actor, sent[actor])
        take(follower, positions, got)
    while take(follower, positions, got):
        pass
    assert got == {actor: list(range(1, count + 1)) for actor, count in sent.items()}
    connection.close()


def test_it_asks_for_many_streams_less_often(connection: redis.Redis, keys: Keys) -> None:
    register(connection, keys, [f"actor-{index}" for index in range(1000)])
    send(connection, keys, "actor-7", 1)
    follower = follower_of(connection, keys)
    follower.poll({}, block_ms=0)
    before, began_s = asked(connection), time.monotonic()
    while time.monotonic() - began_s < 0.3:
        follower.poll({}, block_ms=0)
    most = (time.monotonic() - began_s) * STREAMS_PER_S / 1000 + 1
    assert 1 <= asked(connection) - before <= most


def asked(connection: redis.Redis) -> int:
    """How often this server was asked for new entries."""
    return int(call(connection, "INFO", "commandstats")["cmdstat_xread"]["calls"])
