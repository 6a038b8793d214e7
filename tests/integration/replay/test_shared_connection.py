import threading

import pytest
import redis

from common.keys import Keys
from replay_server.connection import call, connect
from replay_server.fleet_view import FleetPlace, read_fleet
from replay_server.registry import put_places

pytestmark = pytest.mark.redis


def test_threads_that_share_a_connection_wait_for_one_another(
    redis_url: str, connection: redis.Redis
) -> None:
    shared = connect(redis_url, name="one-for-all", shared=True)
    wrong: list[object] = []

    def ask(number: int) -> None:
        wrong.extend(
            reply
            for _ in range(200)
            if (reply := call(shared, "ECHO", str(number))) != b"%d" % number
        )

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    names = [client["name"] for client in connection.client_list()]
    assert names.count("one-for-all") == 1
    shared.close()


def test_an_actor_asks_for_its_own_place_alone(connection: redis.Redis, keys: Keys) -> None:
    assert read_fleet(connection, keys, actor="a7").place is None, "the launcher has not said"
    put_places(connection, keys, {f"a{index}": index for index in range(1000)})
    before = network_bytes(connection)
    view = read_fleet(connection, keys, actor="a7")
    assert view.place == FleetPlace(7, 1000)
    assert network_bytes(connection) - before < 10_000
    assert read_fleet(connection, keys, actor="newcomer").place == FleetPlace(1000, 1001)
    put_places(connection, keys, {"a7": 0})
    assert read_fleet(connection, keys, actor="a7").place == FleetPlace(0, 1)


def network_bytes(connection: redis.Redis) -> int:
    return int(connection.info("stats")["total_net_output_bytes"])
