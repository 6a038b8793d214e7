"""Prints what a hostile actor costs the others: each attack alone, then all at once.

    python -m tests.benchmarks.bench_hostile [--seconds S] [ATTACK ...]

A real Redis with a run's configuration and users, a replay service in a process of its own, and an honest
actor that appends as fast as it is let. The attacker is shut out as in a training, and what it costs until
then is in the figures.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common.segment import Segment
from replay_server.connection import connect
from replay_server.log_writer import LogWriter
from replay_server.refusals import read_bans, read_refusals
from tests.support.besieged_run import BesiegedRun, answers, besieged_run
from tests.support.hostile_actor import ATTACKS, siege
from tests.support.replay_rig import make_writer
from tests.support.segments import make_segment

HONEST = "honest-pc"


@dataclass(frozen=True, slots=True)
class Cost:
    """What was seen for a while.

    Attributes:
        segments_per_s: of the honest actor, confirmed by Redis.
        slowest_s: longest time that Redis took for an answer.
    """

    segments_per_s: float
    slowest_s: float


def measure(run: BesiegedRun, writer: LogWriter, segment: Segment, *, seconds: float) -> Cost:
    """Has the honest actor write for a while, never more than 64 segments ahead."""
    connection = connect(run.redis.url("launcher"), name="bench")
    before, began, slowest_s = writer.counters(), time.monotonic(), 0.0
    while time.monotonic() - began < seconds:
        if writer.counters().spooled_segments < 64:
            for _ in range(16):
                writer.append(segment)
        else:
            time.sleep(0.002)
        slowest_s = max(slowest_s, answers(connection))
        run.note_memory()
    acked = writer.counters().acked_transitions - before.acked_transitions
    connection.close()
    return Cost(acked / segment.meta.transitions / (time.monotonic() - began), slowest_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("attacks", nargs="*", default=[*ATTACKS, "all"])
    options = parser.parse_args()
    print(f"{'attack':18} {'honest':>7} {'slowest':>8} {'redis':>7} {'service':>8}  shut out")
    for name in options.attacks:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["APEXMANIA_HOME"] = f"{folder}/home"
            with besieged_run(Path(folder)) as run:
                print(row(run, Path(folder), name, seconds=options.seconds), flush=True)


def row(run: BesiegedRun, folder: Path, name: str, *, seconds: float) -> str:
    """Returns one line of the table."""
    names = list(ATTACKS) if name == "all" else [name]
    urls = run.admit(HONEST, *names)
    writer = make_writer(
        urls.pop(HONEST), run.keys, HONEST, spool=folder / "spool", registered=False
    )
    segment = make_segment(steps=59)
    measure(run, writer, segment, seconds=1.0)
    calm = measure(run, writer, segment, seconds=seconds)
    with siege(urls, run.keys):
        time.sleep(1.0)
        under = measure(run, writer, segment, seconds=seconds)
    after = measure(run, writer, segment, seconds=seconds)
    flushed = writer.flush(30)
    lost = writer.counters().dropped_transitions
    writer.close(timeout_s=0.0)
    peak = {process: taken / 1e6 for process, taken in run.peak_bytes.items()}
    bans = read_bans(run.launcher, run.keys)
    refused = sum(sum(counts.values()) for counts in read_refusals(run.launcher, run.keys).values())
    assert run.service.is_running(), "the service died"
    assert HONEST not in bans, "an honest actor was shut out"
    problem = "" if flushed and not lost else f"  LOST {lost}"
    return (
        f"{name:18} {under.segments_per_s / calm.segments_per_s:6.2f}x"
        f" {1e3 * under.slowest_s:5.0f} ms {peak['redis']:4.0f} MB {peak['service']:5.0f} MB"
        f"  {len(bans)} of {len(names)}, {refused:,} refused, after {after.segments_per_s / calm.segments_per_s:.2f}x"
        f"{problem}"
    )


if __name__ == "__main__":
    main()
