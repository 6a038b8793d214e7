"""How many learner steps a second this machine takes, from memory and inside a run.

Run with ``python tests/benchmarks/bench_learner.py [--threads N] [--seconds S]``. "From memory" repeats one
batch; "in a run" adds everything that a run adds: a real Redis, a replay service in a process of its own,
sampling, gathering, priorities, weights and metrics. Windows of the two alternate, so that other work
on the machine falls on both, and the share is the median over pairs of neighbours. Where the cores are
shared, the CPU time of the learner's thread is the sounder figure.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.config import Config
from common.contract import Contract, make_contract
from common.keys import Keys
from learner.loop import Learner
from replay_server.connection import connect
from replay_server.contract_store import put_contract
from replay_server.log_writer import LogWriter
from replay_server.process import ReplayProcess
from tests.support.driving import Driver
from tests.support.learner_inputs import TM20
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import register_actor

KEYS = Keys("bench")
EPISODES = 60
EPISODE_STEPS = 300
WINDOW_S = 1.0
VARIANTS = {
    "float32, BatchNorm (the proven run)": {},
    "float32, no norm": {"network": {"norm": "none"}},
    "bfloat16, BatchNorm": {"learner": {"precision": "bfloat16"}},
    "bfloat16, no norm": {"learner": {"precision": "bfloat16"}, "network": {"norm": "none"}},
}


def fill_log(url: str, contract: Contract) -> None:
    """Writes a log of random pictures for the learner to follow."""
    register_actor(url, KEYS, "bench")
    writer = LogWriter(
        url,
        KEYS,
        "bench",
        spool_dir=None,
        spool_max_bytes=10**8,
        contract=contract.fingerprint,
    )
    driver = Driver(TM20, actor="bench", n_step=1, contract=contract.fingerprint, seed=0)
    for _ in range(EPISODES):
        for segment in driver.episode(EPISODE_STEPS, terminated=True)[0]:
            writer.append(segment)
    assert writer.flush(60)
    writer.close()


def serve(url: str) -> None:
    """Runs the replay service; the body of its process."""
    ReplayProcess(url, KEYS).run()


@dataclass(frozen=True)
class Window:
    """One stretch of learner steps: steps a second, and the learner thread's CPU time for each."""

    per_s: float
    cpu_ms: float


def from_memory(learner: Learner) -> Window:
    """Measures learner steps on one batch."""
    store, step = learner._store, learner._step
    ids = np.arange(store.low, store.low + learner._config.learner.batch_size)
    batch = store.gather(ids, np.ones(len(ids), np.float32))
    return window(lambda: step.step(batch))


def in_a_run(learner: Learner) -> Window:
    """Measures the whole loop."""
    return window(lambda: learner.learn(learner.progress.learner_steps + 1))


def window(step: Callable[[], object]) -> Window:
    """Repeats a step for a second."""
    began, cpu_began, count = time.perf_counter(), time.thread_time(), 0
    while (elapsed := time.perf_counter() - began) < WINDOW_S:
        step()
        count += 1
    return Window(count / elapsed, 1000.0 * (time.thread_time() - cpu_began) / count)


def measure(config: Config, folder: Path, *, seconds: float) -> list[tuple[Window, Window]]:
    """Returns alternating windows: from memory, in a run."""
    server = RedisServer(folder / "redis")
    server.start()
    contract = make_contract(config, TM20)
    connection = connect(server.url, name="bench")
    put_contract(connection, KEYS, contract)
    fill_log(server.url, contract)
    service = multiprocessing.get_context("spawn").Process(target=serve, args=(server.url,))
    service.start()
    learner = Learner(
        config, TM20, contract, redis_url=server.url, keys=KEYS, run_dir=folder / "run"
    )
    try:
        torch.set_num_threads(config.learner.threads)
        learner.start(expects_checkpoint=False)
        learner.learn(20)
        pairs = max(2, int(seconds / (2 * WINDOW_S)))
        return [(from_memory(learner), in_a_run(learner)) for _ in range(pairs)]
    finally:
        learner.close()
        service.terminate()
        service.join()
        connection.close()
        server.stop()


def line(name: str, pairs: list[tuple[Window, Window]]) -> str:
    """Returns the figures of one variant."""
    columns = []
    for title, windows in zip(("memory", "run"), zip(*pairs, strict=True), strict=True):
        rates = [each.per_s for each in windows]
        cpu = min(each.cpu_ms for each in windows)
        columns.append(f"{title} {max(rates):6.1f} ({statistics.median(rates):6.1f}) {cpu:6.2f} ms")
    share = statistics.median(run.per_s / memory.per_s for memory, run in pairs)
    cpu_share = statistics.median(memory.cpu_ms / run.cpu_ms for memory, run in pairs)
    return f"{name:36} {'  '.join(columns)}  share {share:.2f}, of CPU time {cpu_share:.2f}"


def main() -> None:
    """Prints a line for each variant."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--seconds", type=float, default=12.0)
    options = arguments.parse_args()
    print(f"torch {torch.__version__}, {options.threads} thread(s)")
    print(
        "learner steps/s: best (median), and the least CPU time of a step in the learner's thread"
    )
    for name, changes in VARIANTS.items():
        values = Config(checkpoint={"every_episodes": 10**9}, replay={"samples_per_insert": 1e6})
        tree = values.model_dump()
        for section, fields in changes.items():
            tree[section] |= fields
        tree["learner"]["threads"] = options.threads
        with tempfile.TemporaryDirectory() as folder:
            pairs = measure(Config.model_validate(tree), Path(folder), seconds=options.seconds)
        print(line(name, pairs))


if __name__ == "__main__":
    main()
