"""Prints what one learner cycle (update 32, sample 32) costs over the socket.

    python -m tests.benchmarks.bench_replay [--capacity N] [--seconds S] [--batch B]

Redis, the service and the learner's side are three processes, as in a run. CPU is that of the learner's
side plus the service's, in microseconds a cycle.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil

from common.config import LearnerConfig, ReplayConfig
from common.keys import Keys
from replay_server.client import ReplayClient, SampleReply, SampleRequest
from replay_server.connection import connect
from replay_server.log_writer import LogWriter
from replay_server.server import ReplayServer
from replay_server.service import ReplayService
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import register_actor
from tests.support.segments import make_segment, small_contract

KEYS = Keys("bench")
CONTRACT = small_contract()


def serve(url: str, capacity: int, ready: Connection) -> None:
    connection = connect(url, name="service")
    service = ReplayService(
        connection,
        KEYS,
        contract=CONTRACT,
        replay=ReplayConfig(capacity=capacity, samples_per_insert=1e9),
        learner=LearnerConfig(),
    )
    started = time.perf_counter()
    while service.ingest(block_ms=200):
        pass
    ready.send(time.perf_counter() - started)
    ReplayServer(service, connection, KEYS).serve()


def fill(url: str, transitions: int) -> float:
    register_actor(url, KEYS, "a1")
    writer = LogWriter(
        url, KEYS, "a1", spool_dir=None, spool_max_bytes=10**9, contract=CONTRACT.fingerprint
    )
    segment = make_segment()
    started = time.perf_counter()
    for _ in range(transitions // 59 + 1):
        writer.append(segment)
    writer.flush(60)
    elapsed = time.perf_counter() - started
    writer.close()
    return transitions / elapsed


def measure(
    url: str, service_pid: int, *, capacity: int, seconds: float, batch: int, depth: int
) -> tuple[float, float, float, list[float]]:
    """Returns cycles a second, CPU microseconds of learner and service, and the latencies in ms."""
    client = ReplayClient(connect(url, name="bench"), KEYS)
    high = capacity // 59 * 59
    rng = np.random.default_rng(0)
    priorities = rng.uniform(0.0, 2.0, batch).astype(np.float32)
    process = psutil.Process(service_pid)

    def ask(reply: SampleReply | None) -> None:
        client.send(
            SampleRequest(
                updates=[] if reply is None else [(reply.ids[0], priorities)],
                invalid_ids=np.zeros(0, np.int64),
                batch_size=batch,
                batches=1,
                low=0,
                high=high,
                needed_from=0,
                beta=0.5,
                seed=None,
                learner_steps=0,
            )
        )

    for _ in range(depth):
        ask(None)
    for _ in range(500):
        ask(client.receive(5))
    before, own = process.cpu_times(), time.process_time()
    started = time.perf_counter()
    latencies = []
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        reply = client.receive(5)
        assert reply.status == "ok"
        ask(reply)
        latencies.append(time.perf_counter() - begun)
    elapsed, after = time.perf_counter() - started, process.cpu_times()
    cycles = len(latencies)
    own_us = (time.process_time() - own) / cycles * 1e6
    service_us = (after.user + after.system - before.user - before.system) / cycles * 1e6
    client.close()
    return cycles / elapsed, own_us, service_us, sorted(latencies)


def idle_cpu(pid: int, seconds: float) -> float:
    """Returns the share of a core that the service takes when nobody asks, in percent."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds * 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capacity", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder) / "redis")
        server.start()
        context = multiprocessing.get_context("spawn")
        ready, sender = context.Pipe()
        service = context.Process(target=serve, args=(server.url, options.capacity, sender))
        try:
            rate = fill(server.url, options.capacity)
            print(f"write       {rate:12,.0f} transitions/s (metadata-sized frames)")
            service.start()
            print(f"ingest      {ready.recv():12.3f} s for {options.capacity:,} transitions")
            assert service.pid is not None
            time.sleep(1.0)
            for depth, name in ((1, "sync"), (2, "two in flight")):
                cycles, own_us, service_us, latencies = measure(
                    server.url,
                    service.pid,
                    capacity=options.capacity,
                    seconds=options.seconds,
                    batch=options.batch,
                    depth=depth,
                )
                p50, p99 = (1e3 * latencies[int(share * len(latencies))] for share in (0.5, 0.99))
                print(
                    f"{name:12}{cycles:12,.0f} cycles/s   p50 {p50:.3f} ms   p99 {p99:.3f} ms   "
                    f"CPU {own_us:.0f} + {service_us:.0f} us a cycle"
                )
            print(f"idle        {idle_cpu(service.pid, 3.0):12.2f} % of a core")
            memory = psutil.Process(service.pid).memory_info().rss / 2**20
            print(f"memory      {memory:12.0f} MiB, load {os.getloadavg()[0]:.1f}")
        finally:
            if service.is_alive():
                service.kill()
                service.join()
            server.stop()


if __name__ == "__main__":
    main()
