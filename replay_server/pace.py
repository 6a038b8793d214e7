"""How fast the entries of one actor are taken in, so that none crowds the others out."""

import time
from collections.abc import Iterable

ENTRY_COST = 16
"""What reading an entry costs beside its transitions, in transitions."""
LEAST_PER_S = 20_000
REPLAYS_PER_S = 0.1
"""One actor replaces the whole replay in 10 s at the fastest; a simulated game drives a few thousand a second."""
BURST_REPLAYS = 4
"""So many whole replays go at full speed: a new run fills up, an outage ends with a full spool."""


class Pace:
    """Lets actors rest that sent more than the service owes them; their entries wait in their streams.

    Args:
        capacity: transitions that the replay holds.
    """

    def __init__(self, capacity: int) -> None:
        self._per_s = max(LEAST_PER_S, REPLAYS_PER_S * capacity)
        self._burst = BURST_REPLAYS * max(capacity, LEAST_PER_S)
        self._spent: dict[str, tuple[float, float]] = {}
        self._resting_until: dict[str, float] = {}

    def spend(self, actor: str, transitions: int, entries: int) -> None:
        """Notes what was read of an actor."""
        now_s = time.monotonic()
        spent, then_s = self._spent.get(actor, (0.0, now_s))
        spent = max(0.0, spent - self._per_s * (now_s - then_s))
        spent += transitions + ENTRY_COST * entries
        self._spent[actor] = spent, now_s
        if spent > self._burst:
            self._resting_until[actor] = now_s + (spent - self._burst) / self._per_s

    def resting(self, actors: Iterable[str]) -> frozenset[str]:
        """Returns those of the actors that must not be read now."""
        if not self._resting_until:
            return frozenset()
        now_s = time.monotonic()
        for actor in [name for name, until_s in self._resting_until.items() if until_s <= now_s]:
            del self._resting_until[actor]
        return frozenset(self._resting_until.keys() & set(actors))
