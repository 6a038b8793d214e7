"""Ten times the capacity flows through writer, Redis, service and frame store; nothing grows."""

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from common.keys import Keys
from learner.frame_store import FrameStore
from replay_server.connection import connect
from replay_server.log_reader import LogReader
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import make_service, make_writer, request
from tests.support.segments import SMALL, make_segment

CAPACITY = 4_000
STEPS = 59
TIMES = 10
WARM_UP_TIMES = 3
BATCH = 32


@pytest.mark.slow
@pytest.mark.redis
def test_ten_times_the_capacity_leaves_redis_and_the_process_as_large_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trimming each time makes the log's length a function of what was written, not of the clock.
    monkeypatch.setattr("replay_server.service.UPKEEP_PERIOD_S", 0.0)
    server = RedisServer(tmp_path)
    server.start()
    keys = Keys(run="soak")
    connection = connect(server.url, name="soak")
    service = make_service(connection, keys, capacity=CAPACITY)
    reader = LogReader(connection, keys, SMALL)
    writer = make_writer(server.url, keys)
    store = FrameStore(
        SMALL,
        capacity=CAPACITY,
        n_step=1,
        discount=0.99,
        batch_size=BATCH,
        device=torch.device("cpu"),
    )
    process = psutil.Process()
    redis_bytes: list[int] = []
    own_bytes: list[int] = []
    updates: list[tuple[np.ndarray, np.ndarray]] = []
    try:
        for segment in range(TIMES * CAPACITY // STEPS):
            writer.append(make_segment(tag=segment, steps=STEPS, end=True))
            assert writer.flush(10.0)
            while service.ingest(block_ms=200) == 0:
                pass
            for indexed in reader.read(store.high or None, 16, 0):
                assert indexed.segment is not None
                store.insert(indexed.first_id, indexed.segment)
            store.check_valid()
            window = {"low": store.low, "high": store.high, "needed_from": store.low}
            reply = service.sample(request(updates=updates, **window))
            updates = []
            if reply.status == "ok":
                assert store.holds(reply.ids[0])
                updates = [(reply.ids[0], np.ones(BATCH, np.float32))]
            service.tick()
            redis_bytes.append(int(connection.info("memory")["used_memory_dataset"]))
            own_bytes.append(process.memory_info().rss)
        assert store.high == TIMES * CAPACITY // STEPS * STEPS
        warm = WARM_UP_TIMES * CAPACITY // STEPS
        assert max(redis_bytes[-warm:]) <= 1.1 * max(redis_bytes[warm : 2 * warm])
        assert own_bytes[-1] <= 1.05 * max(own_bytes[warm : 2 * warm])
        assert store.size >= CAPACITY - STEPS
    finally:
        writer.close()
        connection.close()
        server.stop()
