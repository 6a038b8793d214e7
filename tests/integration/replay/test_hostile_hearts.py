"""What an actor writes into its heartbeat neither ends nor deceives whoever looks at the run."""

from pathlib import Path

import msgpack
import pytest
import redis

from common.keys import Keys
from deploy.health import health_watch
from deploy.run_files import read_rows
from replay_server.hearts import LIFETIME_S
from tests.support.hostile_actor import hostile_hearts
from tests.support.run_screen import RunScreen

pytestmark = pytest.mark.redis


def test_no_heartbeat_ends_the_look_of_launcher_and_status(
    connection: redis.Redis, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_watch, "PERIOD_S", 0.0)
    sound = {"fps": 20.0, "env_steps": 5, "staleness": 3, "spooled_bytes": 9}
    connection.set(keys.heart("a1"), msgpack.packb(sound), ex=LIFETIME_S)
    values = hostile_hearts()
    with RunScreen(connection, keys, tmp_path) as screen:
        for value in values:
            connection.set(keys.heart("evil"), value, ex=LIFETIME_S)
            screen.show()
    rows = list(read_rows(tmp_path / "fleet.jsonl"))
    assert len(rows) == len(values)
    assert {row["staleness_max"] for row in rows} == {3}
    assert {row["spooled_bytes_max"] for row in rows} == {9}
