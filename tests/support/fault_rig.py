"""A small run on pretended machines, made to be broken: every part is a process of its own.

On the head run Redis, the replay service and a learner; on a PC each runs an actor that appends numbered
segments and keeps a ledger of what was acknowledged. This process follows the log as a learner does, by a
socket that no fault of the network reaches, so that the books can be compared whatever happens.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from common.keys import Keys
from replay_server.connection import connect
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.log_reader import Indexed
from replay_server.registry import register
from replay_server.stream_end import last_generated_id
from tests.support.fault_member import SPEC, STEPS, TAGS_OF_A_LIFE, rig_contract
from tests.support.lab_redis import LabRedis
from tests.support.ledger import held
from tests.support.log_watcher import LogWatcher, Sign
from tests.support.network_lab import Host, NetworkLab
from tests.support.segments import tag_of
from tests.support.waiting import wait_until

PASSWORD = "only-in-this-lab"
PATIENCE_S = 120.0
ARRIVAL_S = 60.0
"""How long an acknowledged transition may be on its way before it counts as lost."""
CAUGHT_UP_TRANSITIONS = 10 * STEPS
_UNINDEXED = "star-ids"
_TAIL_BYTES = 1000
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Member:
    """One process of the run, which may be started again and again."""

    name: str
    role: str
    host: Host
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    url: str = ""
    life: int = -1
    process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    @property
    def ended(self) -> bool:
        """Whether it ended by itself or was told to, so that nobody expects a heartbeat."""
        return self.exit_code is not None and self.exit_code != -signal.SIGKILL

    def kill(self) -> None:
        """Ends it as a crash does."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Books:
    """What the ledgers and the learner's side disagree about, in transitions.

    Attributes:
        lost: acknowledged, and never received.
        doubled: received more than once.
        gone: appended by a process that then died, and neither acknowledged nor received.
    """

    lost: int
    doubled: int
    gone: int


class FaultRig:
    """The run; everything it started is ended with it.

    Args:
        folder: of the run; its path must be short, for the socket in it.
        actors: how many PCs.
        rate: segments that each actor appends in a second.
        tmpfs_mb: size of Redis's disk (MB), 0 for the machine's own.
        redis_options: further arguments of the server.
        link: connection of the actors, by its name in ``broken_links.LINKS``; the replay service would
            refuse every entry of ``star-ids``, so there is none then, and the streams themselves are asked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        actors: int = 2,
        rate: float = 10.0,
        tmpfs_mb: int = 0,
        redis_options: tuple[str, ...] = (),
        link: str = "sound",
    ) -> None:
        self.folder = folder
        self.keys = Keys("faults")
        self.lab = NetworkLab()
        self._rate, self._link, self._n_actors = rate, link, actors
        self._redis = {"tmpfs_mb": tmpfs_mb, "options": redis_options}
        self.members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        self.lab.__enter__()
        try:
            self._start()
        except BaseException:
            self.lab.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.close()
        self.lab.__exit__()
        self.redis.forget()

    def _start(self) -> None:
        self.head = self.lab.host("head")
        self.redis = LabRedis(
            self.folder / "redis", host=self.head, password=PASSWORD, **self._redis
        )
        self.redis.start()
        self.client = connect(self.redis.near_url, name="rig")
        put_contract(self.client, self.keys, rig_contract())
        Control(self.client, self.keys).set("running")
        self.watcher = LogWatcher(self.redis.near_url, self.keys, spec=SPEC, identify=_identify)
        if self._link != _UNINDEXED:
            self.replay = self.add("replay", "replay", self.head)
            self.learner = self.add("learner", "learner", self.head)
        self.actors = [
            self.add_actor(f"pc-{number}", self.lab.host(f"pc-{number}"))
            for number in range(self._n_actors)
        ]
        wait_until(self.flows, timeout_s=PATIENCE_S)

    def add(self, name: str, role: str, host: Host, *options: str, **changes: Any) -> Member:
        """Starts a process that stays until it is ended."""
        member = Member(name, role, host, options, **{"url": self.redis.url} | changes)
        self.members[name] = member
        self.restart(member)
        return member

    def add_actor(self, name: str, host: Host, *options: str, **changes: Any) -> Member:
        register(self.client, self.keys, [name])
        common = ("--rate", str(self._rate), "--link", self._link)
        return self.add(name, "actor", host, *common, *options, **changes)

    def restart(self, member: Member) -> None:
        """Starts it, or starts it anew, as the supervisor of its kind does."""
        member.life += 1
        folder = self.folder / "learner" if member.role == "learner" else self.folder
        folder.mkdir(exist_ok=True)
        member.process = member.host.start(
            [
                *(sys.executable, "-m", "tests.support.fault_member", member.role),
                *("--url", member.url, "--run", self.keys.run, "--name", member.name),
                *("--folder", folder, "--life", str(member.life), *member.options),
            ],
            log=self.folder / f"{member.name}.log",
            env={"PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"} | member.env,
            cwd=_REPOSITORY,
        )

    def flows(self) -> bool:
        """Whether all is well: the learner learns, and whatever actors append arrives."""
        if self._link == _UNINDEXED:
            return all(self.is_caught_up(actor) for actor in self.living_actors())
        heart = self.watcher.hearts.get("learner", {})
        learns = self.learner.alive and int(heart.get("learner_steps", 0)) > 0
        return learns and all(self.is_caught_up(actor) for actor in self.living_actors())

    def drain(self) -> float:
        """Waits until all that is indexed was read; returns the moment, after which all is new."""
        end = sum(last_generated_id(self.client, self.keys.index))
        wait_until(lambda: self.watcher.next_id >= end, timeout_s=PATIENCE_S)
        return time.monotonic()

    def living_actors(self) -> list[Member]:
        return [m for m in self.members.values() if m.role == "actor" and m.alive]

    def ledger(self, actor: Member, life: int | None = None) -> list[dict[str, Any]]:
        """Returns the lines that a life of an actor noted; the last may be missing."""
        number = actor.life if life is None else life
        file = self.folder / f"{actor.name}.{number}.ledger"
        if not file.exists():
            return []
        lines = file.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def newest_line(self, actor: Member) -> dict[str, Any] | None:
        """Returns the last whole line of the ledger of an actor's present life."""
        file = self.folder / f"{actor.name}.{actor.life}.ledger"
        if not file.exists():
            return None
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            whole = stream.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        return json.loads(whole) if whole.startswith(b"{") else None

    def is_caught_up(self, actor: Member) -> bool:
        """Whether what the actor appended was acknowledged and received, but for the newest."""
        newest = self.newest_line(actor)
        if newest is None or newest["acked"] == 0:
            return False
        received = STEPS * self.watcher.received(actor.name, actor.life)
        received = newest["acked"] if self._link == _UNINDEXED else received
        waits = max(newest["appended"] - newest["acked"], newest["acked"] - received)
        return bool(waits <= CAUGHT_UP_TRANSITIONS)

    def signs(self, since_s: float) -> list[Sign]:
        """Returns what logs and heartbeats said of trouble since then, oldest first."""
        ended = {
            f"{member.name} has no heartbeat" for member in self.members.values() if member.ended
        }
        found = [
            sign for sign in self.watcher.signs if sign.at_s >= since_s and sign.event not in ended
        ]
        for member in self.members.values():
            log = self.folder / f"{member.name}.log"
            for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
                if not line.startswith('{"t"'):
                    continue
                said = json.loads(line)
                if said["level"] in ("warning", "error") and said["t"] >= since_s:
                    found.append(Sign(said["t"], member.name, said["event"]))
        return sorted(found, key=lambda sign: sign.at_s)

    def books(self, *, patience_s: float = ARRIVAL_S) -> Books:
        """Compares what is acknowledged now with what the learner's side receives, tag by tag."""
        pages = [
            (self.members[name], int(life), self.ledger(self.members[name], int(life)))
            for name, life, _ in (
                file.name.rsplit(".", 2) for file in sorted(self.folder.glob("*.*.ledger"))
            )
        ]
        deadline = time.monotonic() + patience_s
        while (books := self._compared(pages)).lost and time.monotonic() < deadline:
            time.sleep(0.1)
        return books

    def _compared(self, pages: list[tuple[Member, int, list[dict[str, Any]]]]) -> Books:
        received: Counter[tuple[str, Any]] = self.watcher.tags()
        if self._link == _UNINDEXED:
            received.update(held(self.client, self.keys, [actor.name for actor in self.actors]))
        lost = gone = 0
        for actor, life, lines in pages:
            if not lines or "--old-code" in actor.options:
                continue  # all that another code wrote must be refused
            first = life * TAGS_OF_A_LIFE
            acked, appended = lines[-1]["acked"] // STEPS, lines[-1]["appended"] // STEPS
            missing = [n for n in range(appended) if received[actor.name, first + n] == 0]
            lost += sum(n < acked for n in missing)
            if life != actor.life or not actor.alive:
                gone += sum(n >= acked for n in missing)
        doubled = sum(count - 1 for count in received.values() if count > 1)
        return Books(lost * STEPS, doubled * STEPS, gone * STEPS)


def _identify(entry: Indexed) -> tuple[Hashable, int]:
    if entry.segment is None:
        return None, 0
    tag = tag_of(entry.segment)
    return tag, tag // TAGS_OF_A_LIFE
