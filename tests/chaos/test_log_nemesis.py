"""Random faults under load, then the books are compared: what was appended against what was read."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.keys import Keys
from replay_server.connection import OUTAGES, connect
from replay_server.log_reader import LogReader
from replay_server.log_writer import LogWriter
from replay_server.service import ReplayService
from tests.support.ledger import Audit, audit
from tests.support.redis_server import RedisServer, embedded_binary, server_binary
from tests.support.replay_rig import (
    assert_ids_contiguous,
    make_service,
    make_writer,
    read_everything,
    write,
)
from tests.support.segments import SMALL, tag_of

pytestmark = [pytest.mark.redis, pytest.mark.chaos, pytest.mark.slow]
KEYS = Keys("nemesis")
ACTORS = 3


class Fleet:
    """Writers, a service and a reader, each in a thread, on one Redis."""

    def __init__(self, server: RedisServer, spool: Path) -> None:
        self.server = server
        self.seen: dict[int, tuple[str, int]] = {}
        self.changed_ids: list[int] = []
        self.appended = [0] * ACTORS
        self.writers: list[LogWriter] = [
            make_writer(server.url, KEYS, f"a{n}", spool=spool) for n in range(ACTORS)
        ]
        self.restart_service = threading.Event()
        self.stop_driving = threading.Event()
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=self.drive, args=(number,)) for number in range(ACTORS)
        ]
        self.background = [
            threading.Thread(target=self.serve),
            threading.Thread(target=self.learn),
        ]
        for thread in self.threads + self.background:
            thread.start()

    def drive(self, number: int) -> None:
        rng = np.random.default_rng(number)
        while not self.stop_driving.is_set():
            tag = self.appended[number]
            write(self.writers[number], range(tag, tag + 1))
            self.appended[number] += 1
            time.sleep(float(rng.uniform(0.005, 0.03)))

    def serve(self) -> None:
        connection = connect(self.server.url, name="service")
        service: ReplayService | None = None
        while not self.stop.is_set():
            try:
                if service is None or self.restart_service.is_set():
                    service = make_service(connection, KEYS)
                    self.restart_service.clear()
                service.ingest(block_ms=50)
                service.tick()
            except OUTAGES:
                self.stop.wait(0.05)
        connection.close()

    def learn(self) -> None:
        connection = connect(self.server.url, name="learner")
        reader = LogReader(connection, KEYS, SMALL)
        while not self.stop.is_set():
            try:
                page = reader.read(0, 10_000, 0)
            except OUTAGES:
                self.stop.wait(0.05)
                continue
            for entry in page:
                if entry.segment is None:
                    continue
                found = (entry.actor, tag_of(entry.segment))
                if self.seen.setdefault(entry.first_id, found) != found:
                    self.changed_ids.append(entry.first_id)
            self.stop.wait(0.1)
        connection.close()

    def finish(self) -> None:
        self.stop_driving.set()
        for thread in self.threads:
            thread.join()
        assert all(writer.flush(30) for writer in self.writers)
        deadline = time.monotonic() + 20
        while len(self.seen) < sum(self.appended) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.stop.set()
        for thread in self.background:
            thread.join()


@pytest.fixture(params=[server_binary, embedded_binary], ids=["installed", "embedded"])
def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    server = RedisServer(tmp_path / "redis", binary=request.param())
    server.start()
    fleet = Fleet(server, tmp_path / "spool")
    yield fleet
    fleet.stop_driving.set()
    fleet.stop.set()
    for writer in fleet.writers:
        writer.close(timeout_s=0.1)
    server.stop()


def test_random_faults_lose_and_double_nothing(fleet: Fleet) -> None:
    rng = np.random.default_rng(1)
    for fault in rng.permutation(["kill", "power cut", "pause", "service"] * 2):
        time.sleep(float(rng.uniform(0.3, 1.0)))
        if fault == "kill":
            fleet.server.kill()
            time.sleep(float(rng.uniform(0.0, 1.0)))
            fleet.server.start()
        elif fault == "power cut":
            fleet.server.kill()
            fleet.server.cut_append_only_tail(int(rng.integers(1, 40_000)))
            fleet.server.start()
            # A service that dies before it repaired the index would be the second fault at once.
            time.sleep(3.0)
        elif fault == "pause":
            fleet.server.pause()
            time.sleep(float(rng.uniform(1.0, 3.0)))
            fleet.server.resume()
        elif fault == "service":
            fleet.restart_service.set()
    fleet.finish()
    connection = connect(fleet.server.url, name="test")
    entries = read_everything(connection, KEYS)
    appended = {f"a{number}": count for number, count in enumerate(fleet.appended)}
    assert audit(connection, KEYS, appended) == Audit(lost=[], doubled=[])
    connection.close()
    assert_ids_contiguous(entries)
    assert fleet.changed_ids == []
    for number in range(ACTORS):
        delivered = [
            tag_of(entry.segment)
            for entry in entries
            if entry.segment is not None and entry.actor == f"a{number}"
        ]
        assert delivered == list(range(fleet.appended[number]))
    assert all(writer.counters().dropped_transitions == 0 for writer in fleet.writers)
