"""Follows the log and the heartbeats from outside, and remembers when it saw what."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import redis

from common.game_spec import GameSpec
from common.keys import Keys
from replay_server.connection import OUTAGES, connect, retrying
from replay_server.hearts import read_all
from replay_server.log_reader import Indexed, LogReader

_LOOK_S = 0.02
_HEARTS_S = 0.1
_PAGE = 512


@dataclass(frozen=True, slots=True)
class Receipt:
    """A segment of the index, at the moment it was first read."""

    at_s: float
    first_id: int
    count: int
    actor: str
    tag: Hashable
    life: int


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that a log or the heartbeats say of trouble."""

    at_s: float
    source: str
    event: str


class LogWatcher:
    """Reads every segment with its frames, once, in the order of the index; in a thread.

    Args:
        url: a way to Redis that no fault of the network touches.
        keys: the run.
        spec: the game of its segments.
        identify: returns what tells a segment from all others of its actor, None where it has no data, and
            the start of the actor that wrote it.
        after: id to begin with; None begins with the oldest that is there.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        *,
        spec: GameSpec,
        identify: Callable[[Indexed], tuple[Hashable, int]],
        after: int | None = None,
    ) -> None:
        self._connection = connect(url, name="watcher")
        self._keys = keys
        self._spec, self._identify = spec, identify
        self._reader = LogReader(self._connection, keys, spec)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._receipts: list[Receipt] = []
        self._counts: Counter[tuple[str, int]] = Counter()
        self._after = after
        self.hearts: dict[str, dict[str, Any]] = {}
        self.learner_steps: list[tuple[float, int, int]] = []
        """When the learner's heartbeat was seen, its process and its learner steps."""
        self.signs: list[Sign] = []
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def receipts(self) -> list[Receipt]:
        with self._lock:
            return list(self._receipts)

    def received(self, actor: str, life: int) -> int:
        """Returns how many segments of that life of an actor came."""
        with self._lock:
            return self._counts[actor, life]

    def first_received(self, actor: str, life: int, since_s: float) -> float | None:
        """Returns when the first segment of that life came after a moment, None where none did yet."""
        for receipt in self.receipts():
            if receipt.at_s > since_s and (receipt.actor, receipt.life) == (actor, life):
                return receipt.at_s
        return None

    @property
    def next_id(self) -> int:
        """The id that comes next."""
        return self._after or 0

    def first_learner_step(self, since_s: float, pid: int) -> float | None:
        """Returns when a learner process was first seen to have taken a step since a moment, None if never.

        Its first heartbeat after a restart tells where it resumed, which is before where it was.
        """
        base: int | None = None
        for seen_s, seen_pid, steps in self.learner_steps:
            if seen_s <= since_s or seen_pid != pid:
                continue
            base = steps if base is None else base
            if steps > base:
                return seen_s
        return None

    def tags(self) -> Counter[tuple[str, Hashable]]:
        """Returns how often each segment came; those without data are not told apart, and left out."""
        return Counter(
            (receipt.actor, receipt.tag) for receipt in self.receipts() if receipt.tag is not None
        )

    def doubled(self) -> int:
        """Returns transitions that came more than once."""
        sizes = {(receipt.actor, receipt.tag): receipt.count for receipt in self.receipts()}
        return sum((times - 1) * sizes[tag] for tag, times in self.tags().items())

    def check_ids(self) -> None:
        """Asserts that ids have no gaps, and that what the log holds now bears the ids it had."""
        receipts = self.receipts()
        for left, right in pairwise(receipts):
            assert right.first_id == left.first_id + left.count, (left, right)
        known = {receipt.first_id: (receipt.actor, receipt.tag) for receipt in receipts}
        reader = LogReader(self._connection, self._keys, self._spec)
        after: int | None = None
        while page := retrying(partial(reader.read, after, _PAGE, 0)):
            for entry in page:
                actor, tag = known.get(entry.first_id, (entry.actor, None))
                now = self._identify(entry)[0]  # None where it was trimmed or damaged meanwhile
                assert entry.actor == actor, entry
                assert tag is None or now is None or now == tag, (entry.first_id, tag, now)
            after = page[-1].first_id + page[-1].count

    def _run(self) -> None:
        hearts_due_s = 0.0
        while not self._stop.wait(_LOOK_S):
            try:
                self._read()
                if time.monotonic() >= hearts_due_s:
                    hearts_due_s = time.monotonic() + _HEARTS_S
                    self._look_at_hearts()
            except OUTAGES:
                continue
            except redis.ResponseError:
                continue

    def _read(self) -> None:
        while page := self._reader.read(self._after, _PAGE, 0):
            now = time.monotonic()
            self._after = page[-1].first_id + page[-1].count
            new = [
                Receipt(now, entry.first_id, entry.count, entry.actor, *self._identify(entry))
                for entry in page
            ]
            with self._lock:
                self._receipts += new
                self._counts.update((receipt.actor, receipt.life) for receipt in new)

    def _look_at_hearts(self) -> None:
        now = time.monotonic()
        hearts = read_all(self._connection, self._keys)
        for name in self.hearts.keys() - hearts.keys():
            self.signs.append(Sign(now, "status", f"{name} has no heartbeat"))
        for name, heart in hearts.items():
            corrupt = int(str(heart.get("weights_corrupt", 0)))
            if corrupt > int(str(self.hearts.get(name, {}).get("weights_corrupt", 0))):
                self.signs.append(Sign(now, "status", f"{name}: weights_corrupt"))
        if "learner" in hearts:
            learner = hearts["learner"]
            facts = int(str(learner.get("pid", 0))), int(str(learner.get("learner_steps", 0)))
            self.learner_steps.append((now, *facts))
        self.hearts = hearts
