"""Grows a fleet step by step and measures each step, then checks that nothing was lost."""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from deploy.fleet_bench.bench_contract import CAPACITY
from deploy.fleet_bench.bench_stack import ACTORS_PER_GENERATOR, BenchStack
from deploy.fleet_bench.cost_sample import take_sample, usage
from deploy.fleet_bench.index_watch import IndexWatch
from deploy.fleet_bench.load_generator import Told, segment_period_s
from replay_server.index_store import IndexStore

STEPS_BELOW = (10, 30, 100, 300)
"""Fleets that are measured on the way to the one that was asked for."""
ON_TIME = 0.97
"""A step that got less of its segments through than this was held up by the machine."""
_SETTLE_S = 2.0
_SETTLED_S = 0.2
_LONGEST_SETTLING_S = 30.0
_BEHIND = CAPACITY // 10
"""Transitions that may be on their way while a step is measured."""
_CATCH_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class BenchStep:
    """One size of the fleet.

    Attributes:
        actors: how many.
        segments: that reached the log.
        on_time: share of the segments due that did.
        late_s: how late the generators' latest errand began, seconds.
        delay_p50_ms: half of the segments were in the index so soon after they were sent, milliseconds.
        delay_p99_ms: and 99 of 100 so soon.
        usage: what was used, as ``cost_sample.usage`` names it.
    """

    actors: int
    segments: int
    on_time: float
    late_s: float
    delay_p50_ms: float
    delay_p99_ms: float
    usage: dict[str, float]

    @property
    def saturated(self) -> bool:
        """Whether the machine could not keep up, so that the figures tell of it and not of the design."""
        return self.on_time < ON_TIME


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All steps, and whether the log, the index and the frame store agree in the end.

    Attributes:
        frames_per_second: of each actor.
        seconds: of each step's measurement.
        steps: smallest fleet first.
        transitions_sent: transitions that Redis acknowledged to the actors.
        transitions_indexed: ids that the service gave.
        transitions_ingested: ids that passed into the frame store.
    """

    frames_per_second: float
    seconds: float
    steps: list[BenchStep]
    transitions_sent: int
    transitions_indexed: int
    transitions_ingested: int

    @property
    def nothing_lost(self) -> bool:
        """Whether log, index and frame store hold the same transitions."""
        return self.transitions_sent == self.transitions_indexed == self.transitions_ingested

    def to_dict(self) -> dict[str, object]:
        """Returns plain values for JSON."""
        return asdict(self)


def fleet_sizes(asked: Sequence[int]) -> list[int]:
    """Returns the fleets to measure: those asked for, or the way up to the only one."""
    if len(asked) > 1:
        return sorted(set(asked))
    return [*(size for size in STEPS_BELOW if size < asked[0]), asked[0]]


def run_bench(
    sizes: Sequence[int],
    *,
    seconds: float,
    frames_per_second: float,
    tell: Callable[[BenchStep], None],
) -> BenchReport:
    """Measures fleets of these sizes, one after the other, on one growing stack of processes.

    Args:
        sizes: actors of each step, growing.
        seconds: of each step's measurement.
        frames_per_second: env steps a second of each actor.
        tell: is called with each step once it is measured.

    Raises:
        ApexManiaError: Redis cannot be started, a process ended, or transitions were lost.
    """
    segment_s = segment_period_s(frames_per_second)
    generators = math.ceil(max(sizes) / ACTORS_PER_GENERATOR)
    with (
        tempfile.TemporaryDirectory(prefix="apexmania-bench-") as folder,
        BenchStack(Path(folder), generators=generators, segment_s=segment_s) as stack,
    ):
        watch = IndexWatch(stack.url, stack.keys)
        steps, sent = [], 0
        for size in sizes:
            stack.grow(size)
            sent += _settle(stack, sent)
            watch.take()
            before = take_sample(stack.connection, stack.pids)
            time.sleep(seconds)
            used = usage(before, take_sample(stack.connection, stack.pids))
            told = stack.told()
            sent += _transitions(told)
            step = _step(size, told, watch.take(), used, size * seconds / segment_s)
            steps.append(step)
            tell(step)
        sent += _transitions(stack.told(append=False))
        report = BenchReport(
            frames_per_second=frames_per_second,
            seconds=seconds,
            steps=steps,
            transitions_sent=sent,
            transitions_indexed=_wait_for(
                sent, IndexStore(stack.connection, stack.keys).stored_next_id
            ),
            transitions_ingested=_wait_for(sent, stack.ingested),
        )
        watch.close()
    return report


def _step(
    size: int,
    told: Sequence[Told],
    seen: dict[tuple[str, str], float],
    used: dict[str, float],
    due: float,
) -> BenchStep:
    appended = [one for part in told for one in part.appended]
    delays_ms = [
        1e3 * (seen[one.actor, one.entry_id] - one.sent_s)
        for one in appended
        if (one.actor, one.entry_id) in seen
    ]
    p50, p99 = np.percentile(delays_ms, (50, 99)) if delays_ms else (math.nan, math.nan)
    return BenchStep(
        actors=size,
        segments=len(appended),
        on_time=min(1.0, len(appended) / due),
        late_s=max(part.late_s for part in told),
        delay_p50_ms=float(p50),
        delay_p99_ms=float(p99),
        usage=used,
    )


def _settle(stack: BenchStack, sent: int) -> int:
    """Waits until the new actors are on time, or never will be; returns the transitions sent meanwhile."""
    deadline = time.monotonic() + _LONGEST_SETTLING_S
    new, late_s, behind = 0, math.inf, 0
    while (late_s > _SETTLED_S or behind > _BEHIND) and time.monotonic() < deadline:
        time.sleep(_SETTLE_S)
        told = stack.told()
        new += _transitions(told)
        late_s = max(part.late_s for part in told)
        behind = sent + new - stack.ingested()
    return new


def _transitions(told: Sequence[Told]) -> int:
    return sum(one.transitions for part in told for one in part.appended)


def _wait_for(wanted: int, ask: Callable[[], int]) -> int:
    """Returns what was asked for as soon as it is as wanted, or what it is after a minute."""
    deadline = time.monotonic() + _CATCH_UP_S
    while (value := ask()) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return value
