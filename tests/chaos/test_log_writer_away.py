"""What a writer keeps when it ends while Redis is away, and what it sends to a Redis that has another run."""

from pathlib import Path

import pytest
import redis

from common.keys import Keys
from replay_server.connection import connect, retrying
from replay_server.contract_store import put_contract
from replay_server.log_writer import LogWriter
from tests.support.ledger import audit
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import CONTRACT, make_writer, write

pytestmark = [pytest.mark.redis, pytest.mark.chaos]
KEYS = Keys("away")


def test_what_a_crashed_redis_had_confirmed_goes_in_at_the_next_start(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    writer = make_writer(server.url, KEYS, spool=tmp_path)
    write(writer, range(60))
    assert writer.flush(10)
    server.kill()
    server.cut_append_only_tail(30_000)
    write(writer, range(60, 70))
    writer.close(timeout_s=0.5)
    server.start()
    left = retrying(lambda: client.xlen(KEYS.meta("a1")))
    assert left is not None
    assert left < 60, "the power cut took some"
    again = make_writer(server.url, KEYS, spool=tmp_path)
    assert again.flush(20)
    again.close()
    found = audit(client, KEYS, {"a1": 70})
    assert (found.lost, found.doubled) == ([], [])
    assert not list(tmp_path.rglob("*.segment"))


def test_a_redis_without_the_run_gets_nothing(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    writer = LogWriter(
        server.url,
        KEYS,
        "a1",
        spool_dir=tmp_path,
        spool_max_bytes=10**8,
        contract=CONTRACT.fingerprint,
        checks_contract=True,
    )
    write(writer, range(5))
    assert not writer.flush(1.0)
    assert not client.exists(KEYS.meta("a1"))
    launcher = connect(server.url, name="launcher")
    put_contract(launcher, KEYS, CONTRACT)
    launcher.close()
    assert writer.flush(20)
    writer.close()
    assert client.xlen(KEYS.meta("a1")) == 5
