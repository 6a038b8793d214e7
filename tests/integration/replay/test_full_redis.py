"""A Redis that somebody filled is emptied again: it denies notes then, and never what frees memory."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.keys import Keys
from replay_server import quota as quota_module
from replay_server.connection import OUTAGES, Client, call, connect
from replay_server.refusals import read_bans, read_refusals
from tests.support.access_rig import add_actor
from tests.support.hostile_actor import HostileActor
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import make_service, make_writer, register_actor, write

pytestmark = pytest.mark.redis
BATCH = 5000
LIMIT_S = 60.0
NEW = 20
STREAMS = {"orphans": ("frames",), "damaged": ("meta", "frames")}
"""Which streams are filled, by the kind under which it is counted."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[str]:
    options = ("--maxmemory", "60mb", "--maxmemory-policy", "noeviction")
    server = RedisServer(tmp_path / "redis", options=options)
    server.start()
    yield server.url
    server.stop()


@pytest.mark.parametrize("kind", STREAMS)
def test_a_redis_filled_by_one_actor_is_emptied_and_the_others_go_on(
    small: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_module, "LOOK_PERIOD_S", 0.2)
    keys, admin = Keys("full"), connect(small, name="admin")
    service = make_service(connect(small, name="service"), keys)
    writer = make_writer(small, keys, spool=tmp_path / "spool")
    register_actor(small, keys, "evil")
    evil = HostileActor(add_actor(admin, small, keys, "evil"), keys, "evil")
    _fill(evil, STREAMS[kind], admin)
    write(writer, range(NEW))
    deadline = time.monotonic() + LIMIT_S
    while service.stats()["segments_inserted"] != NEW or "evil" not in read_bans(admin, keys):
        assert time.monotonic() < deadline, service.stats()
        try:
            service.ingest(block_ms=20)
        except OUTAGES:
            time.sleep(0.05)
    assert writer.flush(10)
    assert writer.counters().dropped_transitions == 0
    assert set(read_refusals(admin, keys)) == {"evil"}
    assert read_refusals(admin, keys)["evil"][kind] > 200
    assert call(admin, "XLEN", keys.frames("evil")) == 0
    writer.close()


def _fill(evil: HostileActor, streams: tuple[str, ...], admin: Client) -> None:
    """Writes until Redis takes no more."""
    lengths: list[int] = []
    while len(lengths) < 2 or lengths[-1] > lengths[-2]:
        entries = (evil.entry() for _ in range(BATCH // len(streams)))
        evil.send(
            *(
                ("XADD", getattr(evil, stream), entry, "mf"[stream == "frames"], b"x" * 1000)
                for entry in entries
                for stream in streams
            )
        )
        lengths.append(call(admin, "XLEN", evil.frames))
