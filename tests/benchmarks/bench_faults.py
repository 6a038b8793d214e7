"""What every fault does to a run, measured: a Markdown table, and the same as JSON.

Run with ``make faults`` or ``python -m tests.benchmarks.bench_faults [--json FILE] [NAME ...]``; ``--list``
names the faults. It needs root, for network namespaces, and what ``.ci/run`` installs; all of it takes about
twenty minutes. ``docs/fault-tolerance.md`` says what the columns mean.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import psutil

from tests.support.fault_rig import FaultRig
from tests.support.fault_scenarios import SCENARIOS, Outcome, run
from tests.support.fault_training import TRAINING_FAULTS, run_training_faults

HEADER = (
    "| fault | noticed after | by | goes on after | caught up after | lost | doubled | never acknowledged | |\n"
    "|---|---:|---|---:|---:|---:|---:|---:|---|"
)


def main() -> None:
    """Prints one row for each fault that is named, or for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="faults; all without any")
    parser.add_argument("--json", type=Path, help="file that takes the rows too")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    options = parser.parse_args()
    every = [*SCENARIOS, *TRAINING_FAULTS]
    if options.list:
        print("\n".join(every))
        return
    unknown = set(options.names) - set(every)
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; --list names them all")
    names = options.names or every
    where = machine()
    print(f"{where}\n\n{HEADER}", flush=True)
    outcomes = []
    for outcome in _outcomes(names):
        outcomes.append(outcome)
        print(row(outcome), flush=True)
        if options.json:
            facts = {"machine": where, "faults": [asdict(one) for one in outcomes]}
            options.json.write_text(json.dumps(facts, indent=1) + "\n")
    sys.exit(0 if all(outcome.holds for outcome in outcomes) else 1)


def machine() -> str:
    """Returns where and under what load this was measured."""
    memory_gb = psutil.virtual_memory().total / 1e9
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    kernel = platform.release()
    return f"{os.cpu_count()} cores, {memory_gb:.0f} GB, Linux {kernel}; load before: {load}"


def row(outcome: Outcome) -> str:
    """Returns one line of the table; bold where the invariant did not hold."""
    seconds = (outcome.detected_s, outcome.recovered_s, outcome.caught_up_s)
    detected, recovered, caught_up = ("" if s is None else f"{s:.1f} s" for s in seconds)
    title = outcome.title if outcome.holds else f"**VIOLATED: {outcome.title}**"
    books = f"{_red(outcome.lost)} | {_red(outcome.doubled)} | {outcome.gone}"
    sign = outcome.sign and f"`{outcome.sign}`"
    return (
        f"| {title} | {detected} | {sign} | {recovered} | {caught_up} | {books} | {outcome.note} |"
    )


def _red(count: int) -> str:
    return f"**{count}**" if count else "0"


def _outcomes(names: list[str]) -> Iterable[Outcome]:
    """Runs the faults in their order; those that need the same run share it."""
    small = [name for name in names if name in SCENARIOS]
    for _, group in groupby(small, key=lambda name: sorted(SCENARIOS[name].rig.items())):
        shared = list(group)
        with (
            tempfile.TemporaryDirectory(prefix="faults-", dir="/tmp") as folder,  # a short path
            FaultRig(Path(folder), **SCENARIOS[shared[0]].rig) as rig,
        ):
            for name in shared:
                yield run(name, rig)
    large = [name for name in names if name in TRAINING_FAULTS]
    if large:
        yield from run_training_faults(large)


if __name__ == "__main__":
    main()
