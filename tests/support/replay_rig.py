"""Small parts that the tests of the replay put together."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import redis

from common.config import LearnerConfig, ReplayConfig
from common.contract import Contract
from common.keys import Keys
from replay_server.connection import OUTAGES, connect
from replay_server.log_reader import Indexed, LogReader
from replay_server.log_writer import LogWriter
from replay_server.messages import SampleRequest
from replay_server.registry import register
from replay_server.server import ReplayServer
from replay_server.service import ReplayService
from tests.support.segments import SMALL, make_segment, small_contract, tag_of

CONTRACT: Contract = small_contract()
WriteLog = Callable[[range], None]


def register_actor(url: str, keys: Keys, actor: str) -> None:
    """Does what the launcher does for each actor; where Redis is away, an earlier call did it."""
    connection = connect(url, name="launcher")
    with contextlib.suppress(*OUTAGES):
        register(connection, keys, [actor])
    connection.close()


def make_writer(
    url: str,
    keys: Keys,
    actor: str = "a1",
    *,
    spool: Path | None = None,
    limit: int = 10**8,
    registered: bool = True,
) -> LogWriter:
    if registered:
        register_actor(url, keys, actor)
    return LogWriter(
        url,
        keys,
        actor,
        spool_dir=spool,
        spool_max_bytes=limit,
        contract=CONTRACT.fingerprint,
    )


def make_service(
    connection: redis.Redis, keys: Keys, *, capacity: int = 100_000, start: int = 0
) -> ReplayService:
    return ReplayService(
        connection,
        keys,
        contract=CONTRACT,
        replay=ReplayConfig(capacity=capacity, snapshot_period_s=0.2),
        learner=LearnerConfig(replay_start_size=start),
    )


@contextmanager
def serving(url: str, keys: Keys, *, capacity: int = 100_000) -> Iterator[ReplayService]:
    connection = connect(url, name="service")
    service = make_service(connection, keys, capacity=capacity)
    server = ReplayServer(service, connection, keys)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield service
    finally:
        server.stop()
        thread.join()
        connection.close()


def request(**changes: object) -> SampleRequest:
    plain = SampleRequest(
        updates=[],
        invalid_ids=np.zeros(0, np.int64),
        batch_size=32,
        batches=1,
        low=0,
        high=0,
        needed_from=0,
        beta=0.4,
        seed=1,
        learner_steps=0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def write(writer: LogWriter, tags: range, *, steps: int = 20, end_every: int = 5) -> None:
    for tag in tags:
        writer.append(
            make_segment(
                tag=tag,
                steps=steps,
                episode=tag // end_every,
                end=tag % end_every == end_every - 1,
                priorities=tag % 2 == 0,
            )
        )


def ingest_all(service: ReplayService) -> int:
    total = 0
    while entered := service.ingest(block_ms=300):
        total += entered
    return total


def read_everything(connection: redis.Redis, keys: Keys) -> list[Indexed]:
    reader = LogReader(connection, keys, SMALL)
    entries: list[Indexed] = []
    while True:
        after = entries[-1].first_id + entries[-1].count if entries else None
        page = reader.read(after, 64, 0)
        if not page:
            return entries
        entries += page


def tags(entries: list[Indexed]) -> list[int]:
    return [tag_of(entry.segment) for entry in entries if entry.segment is not None]


def assert_ids_contiguous(entries: list[Indexed]) -> None:
    for left, right in pairwise(entries):
        assert right.first_id == left.first_id + left.count
