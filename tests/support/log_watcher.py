"""Follows the log and the heartbeats from outside, and remembers when it saw what."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import redis

from common.keys import Keys
from replay_server.connection import OUTAGES, connect
from replay_server.hearts import read_all
from replay_server.log_reader import Indexed, LogReader
from tests.support.fault_member import SPEC, TAGS_OF_A_LIFE
from tests.support.segments import tag_of

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
    tag: int | None


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
    """

    def __init__(self, url: str, keys: Keys) -> None:
        self._connection = connect(url, name="watcher")
        self._keys = keys
        self._reader = LogReader(self._connection, keys, SPEC)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._receipts: list[Receipt] = []
        self._counts: Counter[tuple[str, int]] = Counter()
        self._after: int | None = None
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
            if receipt.at_s > since_s and (receipt.actor, _life(receipt)) == (actor, life):
                return receipt.at_s
        return None

    def tags(self) -> Counter[tuple[str, int | None]]:
        return Counter((receipt.actor, receipt.tag) for receipt in self.receipts())

    def check_ids(self) -> None:
        """Asserts that ids have no gaps, and that what the log holds now bears the ids it had."""
        receipts = self.receipts()
        for left, right in pairwise(receipts):
            assert right.first_id == left.first_id + left.count, (left, right)
        known = {receipt.first_id: (receipt.actor, receipt.tag) for receipt in receipts}
        reader = LogReader(self._connection, self._keys, SPEC)
        after: int | None = None
        while page := reader.read(after, _PAGE, 0):
            for entry in page:
                before, now = known.get(entry.first_id), (entry.actor, _tag(entry))
                assert before in (None, now), (entry.first_id, before, now)
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
                Receipt(now, entry.first_id, entry.count, entry.actor, _tag(entry))
                for entry in page
            ]
            with self._lock:
                self._receipts += new
                self._counts.update((receipt.actor, _life(receipt)) for receipt in new)

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


def _tag(entry: Indexed) -> int | None:
    return None if entry.segment is None else tag_of(entry.segment)


def _life(receipt: Receipt) -> int:
    return (receipt.tag or 0) // TAGS_OF_A_LIFE
