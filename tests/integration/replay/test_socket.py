import socket
import struct
import threading
import time

import msgpack
import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import CorruptError, UnreachableError
from common.keys import Keys
from replay_server.client import ReplayClient
from replay_server.framing import Framed
from replay_server.messages import (
    SampleReply,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    unpack,
)
from replay_server.rate_limiter import LimiterState
from replay_server.service import ReplayService
from tests.support.replay_rig import WriteLog, request, serving

pytestmark = pytest.mark.redis


def wait_until_held(service: ReplayService, n_ids: int) -> None:
    deadline = time.monotonic() + 10
    while service.stats()["next_id"] != n_ids and time.monotonic() < deadline:
        time.sleep(0.01)


def address(connection: redis.Redis, keys: Keys) -> dict[str, object]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        packed = connection.get(keys.service)
        if packed is not None:
            fields: dict[str, object] = msgpack.unpackb(packed)
            return fields
        time.sleep(0.01)
    raise TimeoutError


def dial(connection: redis.Redis, keys: Keys) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(str(address(connection, keys)["port"]))))


def frame(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload


def closed(peer: socket.socket) -> bool:
    peer.settimeout(10)
    try:
        return peer.recv(1) == b""
    except ConnectionError:
        return True


def test_requests_are_pipelined_and_answered_in_order(
    connection: redis.Redis, redis_url: str, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(20))
    with serving(redis_url, keys) as service:
        wait_until_held(service, 400)
        client = ReplayClient(connection, keys)
        for size in (32, 16, 8):
            client.send(request(high=400, batch_size=size))
        assert client.outstanding == 3
        assert [client.receive(5).ids.shape[1] for _ in range(3)] == [32, 16, 8]
        assert client.outstanding == 0
        assert client.stats()["next_id"] == 400
        state = client.state()
        client.restore(state)
        with pytest.raises(CorruptError):
            client.restore(b"nonsense")
        client.close()


def test_the_client_finds_a_restarted_service(
    connection: redis.Redis, redis_url: str, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(20))
    client = ReplayClient(connection, keys)
    with pytest.raises(UnreachableError):
        client.send(request(high=400))
    with serving(redis_url, keys) as service:
        wait_until_held(service, 400)
        client.send(request(high=400, seed=5))
        ids = client.receive(5).ids
        client.send(request(high=400, seed=6))
    with pytest.raises(UnreachableError):  # noqa: PT012 - the last reply may have made it
        for _ in range(3):
            client.receive(2)
            client.send(request(high=400))
    assert client.outstanding == 0
    with serving(redis_url, keys) as service:
        wait_until_held(service, 400)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                client.send(request(high=400, seed=5))
                break
            except UnreachableError:
                time.sleep(0.05)
        assert np.array_equal(client.receive(5).ids, ids)
    client.close()


def test_without_the_secret_there_is_no_answer(
    connection: redis.Redis, redis_url: str, keys: Keys
) -> None:
    with serving(redis_url, keys):
        for hello in (frame(b"wrong"), frame(b""), struct.pack("<I", 2**32 - 1), b"GET / HTTP/1.1"):
            peer = dial(connection, keys)
            peer.sendall(hello)
            assert closed(peer)
            peer.close()


def test_a_peer_that_dawdles_holds_nobody_up(
    connection: redis.Redis, redis_url: str, write_log: WriteLog, keys: Keys
) -> None:
    write_log(range(20))
    with serving(redis_url, keys) as service:
        wait_until_held(service, 400)
        idle = [dial(connection, keys) for _ in range(10)]
        idle[0].sendall(b"\x05")
        client = ReplayClient(connection, keys)
        client.send(request(high=400))
        assert client.receive(2).status == "ok"
        client.close()
        for peer in idle:
            peer.close()


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(noise=st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_hostile_bytes_after_the_secret(
    hostile_target: tuple[redis.Redis, Keys], noise: list[bytes]
) -> None:
    connection, keys = hostile_target
    fields = address(connection, keys)
    framed = Framed(dial(connection, keys), max_bytes=1 << 20)
    framed.send(fields["secret"], timeout_s=2)  # type: ignore[arg-type]
    for payload in noise:
        framed.send(payload, timeout_s=2)
        answer = framed.receive(timeout_s=5)
        assert answer is not None
        assert msgpack.unpackb(answer)[0] is False
    framed.close()


@pytest.fixture
def hostile_target(connection: redis.Redis, redis_url: str, keys: Keys) -> object:
    with serving(redis_url, keys):
        yield connection, keys


@settings(max_examples=200)
@given(data=st.binary(max_size=100) | st.integers(0, 3).map(lambda n: b"\x9a" + b"\xc0" * (10 - n)))
def test_hostile_requests_and_replies_raise_one_error(data: bytes) -> None:
    for decode in (decode_request, decode_reply):
        try:
            decode(unpack(data))
        except CorruptError:
            continue


def test_messages_come_back_as_they_were() -> None:
    asked = request(
        updates=[(np.array([3, 4]), np.array([0.5, 2.0], np.float32))],
        invalid_ids=np.array([9]),
        low=1,
        high=50,
        seed=None,
    )
    heard = decode_request(unpack(encode_request(asked)))
    assert heard.updates[0][0].tolist() == [3, 4]
    assert heard.updates[0][1].tolist() == [0.5, 2.0]
    assert (heard.low, heard.high, heard.seed, heard.invalid_ids.tolist()) == (1, 50, None, [9])
    reply = SampleReply(
        "ok",
        np.array([[1, 2]]),
        np.array([[1.0, 0.5]], np.float32),
        LimiterState(5, 2, 32.0, may_sample=True, may_insert=False),
    )
    back = decode_reply(unpack(msgpack.packb(encode_reply(reply))))
    assert back.ids.tolist() == [[1, 2]]
    assert back.limiter == reply.limiter


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 0},
        {"batch_size": 1 << 20},
        {"low": 5, "high": 4},
        {"beta": float("nan")},
        {"seed": -1},
        {"updates": [(np.array([1]), np.zeros(2, np.float32))]},
    ],
)
def test_requests_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(CorruptError):
        decode_request(unpack(encode_request(request(**changes))))


def test_frames_arrive_whole_however_they_are_cut() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    receiver = Framed(listener.accept()[0], max_bytes=1000)
    listener.close()
    payloads = [b"", b"a", b"b" * 999]

    def drip() -> None:
        for byte in b"".join(frame(payload) for payload in payloads):
            sender.sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    assert [receiver.receive(timeout_s=5) for _ in payloads] == payloads
    thread.join()
    assert receiver.receive(timeout_s=0.1) is None
    sender.sendall(frame(b"c" * 1001))
    with pytest.raises(CorruptError):
        receiver.receive(timeout_s=5)
    sender.close()
    receiver.close()
