"""A real training on this machine, whose members, Redis and Ray are killed; the other half of the table.

Its ledger is what the actors' heartbeats call acknowledged, so it may be a heartbeat behind: it can miss a
loss of what was acknowledged within the last fifth of a second before a fault, and invents none.
"""

import signal
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from common.contract import Contract
from common.keys import Keys
from deploy.run_redis import reader_url
from replay_server.connection import connect
from replay_server.contract_store import get_contract
from replay_server.log_reader import Indexed
from tests.support.fault_outcome import Outcome
from tests.support.log_watcher import LogWatcher
from tests.support.training_run import SMALL, Run
from tests.support.waiting import wait_until

PATIENCE_S = 240.0
IN_FLIGHT_S = 1.0
"""What arrives so soon after a fault was under way before it."""
RAY_FAULTS = ("training-raylet-kill", "training-gcs-kill")


@dataclass(frozen=True, slots=True)
class MemberFault:
    """A process of the training, by a word of its command line, and what its death is called."""

    title: str
    word: str
    said: str


TRAINING_FAULTS: dict[str, MemberFault] = {
    "training-actor-kill": MemberFault("training: actor killed (-9)", "DrivingShell", "The actor-"),
    "training-replay-kill": MemberFault(
        "training: replay service killed (-9)", "ReplayServiceActor", "The replay died"
    ),
    "training-learner-kill": MemberFault(
        "training: learner killed (-9)", "LearnerShell", "The learner died"
    ),
    "training-redis-kill": MemberFault("training: Redis killed (-9)", "-server 127.0.0.1", "edis"),
    "training-raylet-kill": MemberFault("training: raylet killed (-9)", "raylet/raylet", "raylet"),
    "training-gcs-kill": MemberFault("training: GCS of Ray killed (-9)", "gcs_server", "GCS"),
}


@dataclass
class _Watched:
    """A training that goes on, with what was acknowledged and what arrived."""

    run: Run
    watcher: LogWatcher
    acked: dict[tuple[str, int], int] = field(default_factory=dict)

    def look(self) -> None:
        """Notes what the heartbeats say."""
        for name, heart in self.watcher.hearts.items():
            if heart.get("role") == "actor":
                life = name, int(str(heart["epoch"]))
                count = int(str(heart["acked_transitions"]))
                self.acked[life] = max(self.acked.get(life, 0), count)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.run.errors()
            self.look()
            time.sleep(0.02)

    def lost(self) -> int:
        """Returns acknowledged transitions that never arrived."""
        acked = dict(self.acked)

        def missing() -> int:
            counts: dict[str, int] = {}
            for receipt in self.watcher.receipts():
                counts[receipt.actor] = counts.get(receipt.actor, 0) + receipt.count
            totals: dict[str, int] = {}
            for (actor, _), count in acked.items():
                totals[actor] = totals.get(actor, 0) + count
            return sum(max(0, count - counts.get(actor, 0)) for actor, count in totals.items())

        deadline = time.monotonic() + 5.0
        while missing() and time.monotonic() < deadline:
            time.sleep(0.1)
        return missing()


def run_training_faults(names: Sequence[str]) -> Iterator[Outcome]:
    """Kills one member after the other of one training, then Ray, and resumes after each end of it."""
    with tempfile.TemporaryDirectory(prefix="faults-", dir="/tmp") as place:
        runs = Path(place)
        members = [name for name in names if name not in RAY_FAULTS]
        rays = [name for name in names if name in RAY_FAULTS]
        options = ("--set", "actors.heartbeat_s=0.2", "--set", "actors.count=2")
        run = Run(runs, "run", *SMALL, *options, "--run-dir", "run")
        watched = _watch(run)
        try:
            for name in members:
                yield _strike_member(name, watched)
            for name in rays:
                outcome, watched = _strike_ray(name, watched, runs)
                yield outcome
            watched.run.process.send_signal(signal.SIGTERM)
            _, summary = watched.run.end()
            replay = summary["replay"]
            assert (replay["gaps"], replay["quarantined"]) == (0, 0), replay
            assert watched.run.orphans() == []
        finally:
            watched.watcher.close()
            watched.run.__exit__()


def _watch(run: Run, *, after: int | None = None) -> _Watched:
    run.until(lambda: run.learner_steps() > 20 and reader_url(run.folder) is not None)
    url = reader_url(run.folder)
    assert url is not None
    keys = Keys(run.folder.name)
    contract: Contract | None = get_contract(connect(url, name="faults"), keys)
    assert contract is not None
    watcher = LogWatcher(url, keys, spec=contract.spec, identify=_identify, after=after)
    watched = _Watched(run, watcher)
    watched.until(lambda: watcher.receipts() and "learner" in watcher.hearts)
    return watched


def _identify(entry: Indexed) -> tuple[Hashable, int]:
    if entry.segment is None:
        return None, 0
    meta = entry.segment.meta
    return (meta.epoch, meta.episode, meta.first_step), meta.epoch


def _strike_member(name: str, watched: _Watched) -> Outcome:
    fault, run, watcher = TRAINING_FAULTS[name], watched.run, watched.watcher
    before = len(run.errors())
    victim = run.child(fault.word)
    watched.look()
    known = {epoch for _, epoch in watched.acked}
    pid = victim.pid
    victim.send_signal(signal.SIGKILL)
    began_s = time.monotonic()
    noticed: list[float] = []

    def has_recovered() -> float | None:
        if not noticed and fault.said in run.errors()[before:]:
            noticed.append(time.monotonic() - began_s)
        since_s = began_s + IN_FLIGHT_S
        if fault.word == "LearnerShell" and watcher.hearts.get("learner", {}).get("pid") == pid:
            return None
        if fault.word == "LearnerShell":
            return watcher.first_learner_step(
                since_s, int(watcher.hearts.get("learner", {}).get("pid", 0))
            )
        for receipt in watcher.receipts():
            is_new = fault.word != "DrivingShell" or receipt.life not in known
            if receipt.at_s > since_s and is_new:
                return receipt.at_s
        return None

    watched.until(lambda: has_recovered() is not None)
    recovered_s = (has_recovered() or 0.0) - began_s
    watched.until(lambda: has_recovered() and (noticed or time.monotonic() > began_s + 15.0))
    watcher.check_ids()
    return Outcome(
        name=name,
        title=fault.title,
        detected_s=noticed[0] if noticed else None,
        sign="the launcher says so" if noticed else "",
        recovered_s=recovered_s,
        caught_up_s=None,
        lost=watched.lost(),
        doubled=watcher.doubled(),
        gone=0,
        note="",
    )


def _strike_ray(name: str, watched: _Watched, runs: Path) -> tuple[Outcome, _Watched]:
    """Kills a part of Ray itself: the run ends, and is resumed."""
    fault, run = TRAINING_FAULTS[name], watched.run
    steps = run.learner_steps()
    watched.look()
    run.child(fault.word).send_signal(signal.SIGKILL)
    began_s = time.monotonic()
    watched.until(lambda: run.process.poll() is not None or run.learner_steps() > steps + 2000)
    ended_s = time.monotonic() - began_s
    code, steps = run.process.poll(), run.learner_steps()
    assert code is not None, "the run went on without it; this scenario needs to be told so"
    psutil.wait_procs(list(run.children.values()), timeout=90)
    orphans = len(run.orphans(1.0))
    lost, doubled = watched.lost(), watched.watcher.doubled()
    after = watched.watcher.next_id
    watched.watcher.close()
    run.__exit__()
    resumed_s = time.monotonic()
    again = Run(runs, "run", "--resume", "run")
    wait_until(partial(_learns_on, again, steps), timeout_s=PATIENCE_S)
    recovered_s = time.monotonic() - resumed_s
    fresh = _watch(again, after=after)
    assert fresh.watcher.receipts()[0].first_id == after, "ids were lost between the two"
    outcome = Outcome(
        name=name,
        title=fault.title,
        detected_s=ended_s,
        sign=f"the run ends with exit code {code}",
        recovered_s=recovered_s,
        caught_up_s=None,
        lost=lost,
        doubled=doubled,
        gone=0,
        note=f"by `--resume`; processes left over: {orphans}",
    )
    return outcome, fresh


def _learns_on(run: Run, steps: int) -> bool:
    assert run.process.poll() is None, run.errors()
    return run.learner_steps() > steps
