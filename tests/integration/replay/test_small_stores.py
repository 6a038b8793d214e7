from dataclasses import replace

import pytest
import redis

from common.contract import require_same
from common.errors import CorruptError, MismatchError, UnreachableError
from common.keys import Keys
from common.weights_prefix import VERSION
from replay_server.connection import check_server, connect
from replay_server.contract_store import get_contract, put_contract
from replay_server.control import Control
from replay_server.hearts import beat, read_all
from replay_server.rows import append_row, read_rows
from replay_server.weights_store import WeightsStore
from tests.support.redis_server import RedisServer, free_port
from tests.support.segments import small_contract

pytestmark = pytest.mark.redis


def test_check_server_reports_version_and_memory(
    connection: redis.Redis, redis_server: RedisServer
) -> None:
    facts = check_server(connection, url=redis_server.url)
    assert facts.version >= (7, 0)
    assert facts.append_only
    assert facts.used_memory_bytes


def test_a_unix_socket_serves_as_well(redis_server: RedisServer) -> None:
    url = f"unix://{redis_server.folder}/redis.sock"
    client = connect(url, name="test")
    assert check_server(client, url=url).append_only
    client.close()


def test_check_server_says_that_nothing_answers_without_the_password() -> None:
    url = f"redis://user:secret@127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError) as raised:
        check_server(connect(url, name="test"), url=url)
    assert "secret" not in str(raised.value)


def test_check_server_refuses_a_wrong_password(redis_server: RedisServer) -> None:
    url = redis_server.url.replace("redis://", "redis://nobody:wrong@")
    with pytest.raises(MismatchError):
        check_server(connect(url, name="test"), url=url)


def test_weights_come_back_whole_and_their_version_is_cheap(
    connection: redis.Redis, keys: Keys
) -> None:
    store = WeightsStore(connection, keys)
    assert store.version() is None
    assert store.fetch() is None
    blob = VERSION.pack(1500) + b"tensors"
    store.publish(1500, blob)
    assert store.version() == 1500
    assert store.fetch() == blob


def test_hearts_expire_and_damaged_ones_are_left_out(connection: redis.Redis, keys: Keys) -> None:
    beat(connection, keys, "actor-1", {"fps": 20.0})
    connection.set(keys.heart("liar"), b"\xc1")
    assert read_all(connection, keys) == {"actor-1": {"fps": 20.0}}
    assert 0 < connection.ttl(keys.heart("actor-1")) <= 10


def test_control_knows_three_states(connection: redis.Redis, keys: Keys) -> None:
    control = Control(connection, keys)
    assert control.state() is None
    control.set("draining")
    assert control.state() == "draining"
    connection.set(keys.control, b"nonsense")
    assert control.state() is None


def test_contract_comes_back_and_damage_is_found(connection: redis.Redis, keys: Keys) -> None:
    assert get_contract(connection, keys) is None
    contract = small_contract()
    put_contract(connection, keys, contract)
    assert get_contract(connection, keys) == contract
    put_contract(connection, keys, replace(contract, track="other"))
    with pytest.raises(CorruptError):
        get_contract(connection, keys)


def test_contract_mismatch_names_the_terms() -> None:
    ours = small_contract()
    theirs = replace(ours, track="other-map", fingerprint="0")
    with pytest.raises(MismatchError, match=r"about track"):
        require_same(ours=ours, theirs=theirs)


def test_rows_page_by_id_and_skip_damage(connection: redis.Redis, keys: Keys) -> None:
    append_row(connection, keys.metrics, {"loss": 1.0}, maxlen=100)
    connection.xadd(keys.metrics, {b"r": b"\xc1"})
    append_row(connection, keys.metrics, {"loss": 0.5}, maxlen=100)
    first, second = read_rows(connection, keys.metrics, None, 10)
    assert first[1] == {"loss": 1.0}
    assert read_rows(connection, keys.metrics, first[0], 10) == [second]
