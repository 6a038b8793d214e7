"""Priorities of the transitions in a moving window of ids.

Ids are absolute and only ever grow, so a late update of an evicted transition is told by comparison. A
transition's leaf is its id modulo the capacity.

Source:
    Schaul et al. (2016), Prioritized Experience Replay, section 3.3 (proportional variant).
"""

import numpy as np
import numpy.typing as npt

from replay_server.sum_tree import COMPILED, Floats, Ints, SumTree

SMALLEST_PRIORITY = 1e-6
"""Floor of a priority, so that no transition is lost for ever."""


class Priorities:
    """The window [low, high) of ids that may be sampled, each with its priority.

    Args:
        capacity: most ids in the window.
        alpha: exponent of the priorities; 0 samples uniformly.
        compiled: whether the sum tree uses numba.

    Attributes:
        low: oldest id in the window.
        high: first id beyond it.
        max_priority: largest priority seen so far, given to transitions that arrive without one.
    """

    def __init__(self, capacity: int, *, alpha: float, compiled: bool = COMPILED) -> None:
        self.capacity = capacity
        self.alpha = alpha
        self.low = 0
        self.high = 0
        self.max_priority = 1.0
        self._tree = SumTree(capacity, compiled=compiled)

    @property
    def total(self) -> float:
        """Sum of the exponentiated priorities."""
        return self._tree.total

    def evict_below(self, low: int) -> None:
        """Moves the start of the window; what lies before can never be sampled again."""
        if low <= self.low:
            return
        gone = np.arange(self.low, min(low, self.high), dtype=np.int64)
        if gone.size:
            self._tree.assign(gone % self.capacity, np.zeros(gone.size))
        self.low = low
        self.high = max(self.high, low)

    def append(self, count: int, priorities: npt.NDArray[np.float32] | None) -> None:
        """Appends ``count`` ids at the end of the window, evicting what no longer fits.

        Args:
            count: how many ids.
            priorities: one each, or None for the largest seen so far; they are no larger than that
                either, since any actor could drown all others in them.
        """
        end = self.high + count
        self.evict_below(end - self.capacity)
        if end - self.high < count:
            count = end - self.high
            priorities = None if priorities is None else priorities[-count:]
        ids = np.arange(self.high, self.high + count, dtype=np.int64)
        if priorities is None:
            values = np.full(count, self._leaf_values(np.array([self.max_priority]))[0])
        else:
            known = np.minimum(priorities.astype(np.float64), self.max_priority)
            values = self._leaf_values(known)
        self._tree.assign(ids % self.capacity, values)
        self.high += count

    def update(self, ids: Ints, priorities: npt.NDArray[np.float32]) -> int:
        """Sets priorities; the last one of a repeated id stays.

        Returns:
            How many were dropped: evicted, invalid, not yet in the window, or not a priority.
        """
        slots = ids % self.capacity
        known = (ids >= self.low) & (ids < self.high) & (self._tree.leaves[slots] > 0.0)
        known &= np.isfinite(priorities) & (priorities >= 0.0)
        if not known.all():
            slots, priorities = slots[known], priorities[known]
        if slots.size:
            self.max_priority = max(self.max_priority, float(priorities.max()))
            self._tree.assign(slots, self._leaf_values(priorities.astype(np.float64)))
        return int(ids.size - slots.size)

    def invalidate(self, ids: Ints) -> None:
        """Excludes ids for good, since the caller has no frames for them."""
        if not ids.size:
            return
        inside = ids[(ids >= self.low) & (ids < self.high)]
        if inside.size:
            self._tree.assign(inside % self.capacity, np.zeros(inside.size))

    def sample(self, uniforms: Floats) -> tuple[Ints, Floats]:
        """Draws ids, one from each of equally heavy strata.

        Args:
            uniforms: a number in [0, 1) for each.

        Returns:
            The ids and the probability of each.
        """
        slots = self._tree.draw(uniforms)
        ids = self.low + (slots - self.low) % self.capacity
        return ids, self._tree.leaves[slots] / self._tree.total

    def window_values(self) -> npt.NDArray[np.float32]:
        """Returns the leaves of the window in the order of their ids; 0 marks an invalid one."""
        slots = np.arange(self.low, self.high, dtype=np.int64) % self.capacity
        return self._tree.leaves[slots].astype(np.float32)

    def restore(self, *, low: int, values: npt.NDArray[np.float32], max_priority: float) -> None:
        """Becomes what ``window_values`` described, exactly."""
        leaves = np.zeros(self.capacity)
        slots = np.arange(low, low + len(values), dtype=np.int64) % self.capacity
        leaves[slots] = values
        self._tree.replace(leaves)
        self.low, self.high, self.max_priority = low, low + len(values), max_priority

    def check_valid(self) -> None:
        """Asserts the invariants of the window and the tree."""
        self._tree.check_valid()
        assert 0 <= self.low <= self.high <= self.low + self.capacity
        outside = np.ones(self.capacity, bool)
        outside[np.arange(self.low, self.high) % self.capacity] = False
        assert (self._tree.leaves[outside] == 0.0).all()

    def _leaf_values(self, priorities: Floats) -> Floats:
        # Rounded to float32, so that a snapshot of half the size restores the tree exactly.
        values = np.maximum(priorities, SMALLEST_PRIORITY) ** self.alpha
        rounded: Floats = values.astype(np.float32).astype(np.float64)
        return rounded


def importance_weights(probabilities: Floats, beta: float) -> npt.NDArray[np.float32]:
    """Returns the importance weights of batches, each divided by its batch's maximum.

    (N p_i)^-beta / max_j (N p_j)^-beta: the number of transitions N cancels.

    Args:
        probabilities: float64[batches, batch], the probability of each drawn transition.
        beta: exponent; 1 corrects the bias of prioritized sampling fully.

    Source:
        Schaul et al. (2016), section 3.4.
    """
    smallest = probabilities.min(axis=1, keepdims=True)
    weights: npt.NDArray[np.float32] = ((smallest / probabilities) ** beta).astype(np.float32)
    return weights
