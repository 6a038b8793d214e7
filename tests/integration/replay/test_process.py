import threading
import time

import pytest
import redis

from common.errors import UnreachableError
from common.keys import Keys
from replay_server.client import ReplayClient
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.process import ReplayProcess
from tests.support.redis_server import RedisServer, free_port
from tests.support.replay_rig import CONTRACT, WriteLog, request

pytestmark = pytest.mark.redis


def test_it_waits_for_the_contract_and_stops_with_the_run(
    connection: redis.Redis, redis_server: RedisServer, keys: Keys, write_log: WriteLog
) -> None:
    process = ReplayProcess(redis_server.url, keys)
    thread = threading.Thread(target=process.run)
    thread.start()
    time.sleep(0.3)
    assert process.stats() == {}
    put_contract(connection, keys, CONTRACT)
    write_log(range(20))
    deadline = time.monotonic() + 20
    while process.stats().get("next_id") != 400 and time.monotonic() < deadline:
        time.sleep(0.02)
    client = ReplayClient(connection, keys)
    client.send(request(high=400))
    assert client.receive(5).status == "ok"
    client.close()
    Control(connection, keys).set("stopped")
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert connection.exists(keys.priorities)


def test_it_ends_before_there_is_a_contract(redis_server: RedisServer, keys: Keys) -> None:
    process = ReplayProcess(redis_server.url, keys)
    thread = threading.Thread(target=process.run)
    thread.start()
    process.stop()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_without_redis_it_says_so(keys: Keys) -> None:
    with pytest.raises(UnreachableError):
        ReplayProcess(f"redis://127.0.0.1:{free_port()}", keys).run()
