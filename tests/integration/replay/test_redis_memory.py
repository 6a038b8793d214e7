from pathlib import Path

import pytest

from common.keys import Keys
from replay_server.connection import check_server, connect
from replay_server.log_writer import LogWriter
from tests.support.redis_server import RedisServer
from tests.support.segments import FULL, make_segment

pytestmark = [pytest.mark.redis, pytest.mark.slow]


def test_redis_holds_the_whole_replay_in_470_mb(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", options=("--auto-aof-rewrite-percentage", "0"))
    server.start()
    connection = connect(server.url, name="test")
    try:
        writer = LogWriter(
            server.url,
            Keys("memory"),
            "a1",
            spool_dir=None,
            spool_max_bytes=10**9,
            contract="0" * 64,
        )
        segment = make_segment(spec=FULL)
        for _ in range(100_000 // 59 + 1):
            writer.append(segment)
        assert writer.flush(60)
        assert writer.counters().dropped_transitions == 0
        writer.close()
        used = check_server(connection, url=server.url).used_memory_bytes
        assert used is not None
        assert used <= 470e6
    finally:
        connection.close()
        server.stop()
