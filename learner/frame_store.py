"""The learner's own copy of the log: each frame once, uint8, gathered into batches by id.

Segments arrive in id order and live in a ring of frame slots on the learner's device; a transition is
a row of columns that points at the slot of its newest frame. What leaves the window ``[low, high)`` is
decided by the log alone, never by where the ring happens to wrap, so a store that is rebuilt after a
restart has the same window as the one that was lost. The window travels in every sampling request, so
that no id outside it is ever asked for.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.game_spec import GameSpec
from common.segment import MAX_FRAMES, Segment, max_steps
from learner.batch import Batch
from learner.n_step import n_step_rows

_SHORT_EPISODE_STEPS = 32
"""Each segment repeats ``history`` frames; episodes down to this length still fill the capacity."""
_NO_FRAMES = -1


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where one segment lies: its slots [begin, end) and its ids [first_id, next_id)."""

    begin: int
    end: int
    first_id: int
    next_id: int

    @property
    def frames(self) -> int:
        return self.end - self.begin


def frame_budget(capacity: int, *, history: int, n_step: int) -> int:
    """Returns how many frames hold the last ``capacity`` transitions.

    Whole segments repeat ``history`` frames and, inside an episode, ``n_step - 1`` steps; where
    episodes are shorter than 25 env steps the window holds fewer transitions than the capacity.
    """
    whole = MAX_FRAMES / (max_steps(history) - n_step + 1)
    short = 1.0 + history / _SHORT_EPISODE_STEPS
    return int(capacity * max(whole, short)) + 2 * MAX_FRAMES


class FrameStore:
    """Ring of frames with the transitions that point into it; used by one thread.

    Args:
        spec: shapes of the game.
        capacity: most transitions kept.
        n_step: n of the returns, env steps.
        discount: gamma of one env step.
        batch_size: rows of a batch; its image buffers are allocated once.
        device: where frames live and batches are gathered.
    """

    def __init__(
        self,
        spec: GameSpec,
        *,
        capacity: int,
        n_step: int,
        discount: float,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.spec = spec
        self.capacity = capacity
        self.n_step = n_step
        self.discount = discount
        self.device = device
        self._budget = frame_budget(capacity, history=spec.history, n_step=n_step)
        # A wrap wastes at most MAX_FRAMES - 1 slots, so what the budget admits always finds room.
        self._slots = self._budget + MAX_FRAMES
        self._frames = torch.empty(
            (self._slots, spec.frame_bytes), dtype=torch.uint8, device=device
        )
        self._features = torch.zeros((self._slots, spec.n_features), device=device)
        self._newest = np.full(capacity, _NO_FRAMES, np.int64)
        self._span = np.zeros(capacity, np.int64)
        self._actions = np.zeros(capacity, np.int64)
        self._returns = np.zeros(capacity, np.float32)
        self._discounts = np.zeros(capacity, np.float32)
        self._versions = np.zeros(capacity, np.int64)
        self._segments: deque[_Stored] = deque()
        self._frames_held = 0
        self._write_slot = 0
        self.low = 0
        self.high = 0
        self._ages = torch.arange(1 - spec.history, 1, device=device)
        shape = (batch_size, spec.history, spec.frame_height, spec.frame_width)
        self._images = torch.empty(shape, dtype=torch.uint8, device=device)
        self._next_images = torch.empty(shape, dtype=torch.uint8, device=device)

    @property
    def size(self) -> int:
        """Ids in the window."""
        return self.high - self.low

    @property
    def read_from(self) -> int:
        """Id from which the log must be read to fill this window again: whole segments only."""
        return self._segments[0].first_id if self._segments else self.high

    @property
    def bytes_reserved(self) -> int:
        """Bytes of the ring of frames."""
        return self._slots * self.spec.frame_bytes

    def start_at(self, first_id: int) -> None:
        """Empties the store; the next transition has this id."""
        self._segments.clear()
        self._frames_held = 0
        self._write_slot = 0
        self._newest.fill(_NO_FRAMES)
        self.low = self.high = first_id

    def forget_before(self, low: int) -> None:
        """Raises the window's lower end, as far as its upper end."""
        self._evict_to(min(low, self.high))

    def skip(self, first_id: int, count: int) -> None:
        """Leaves ids without data, for a segment that failed its check.

        They stay inside the window, so the caller must tell the service never to sample them.
        """
        assert first_id == self.high
        self._newest[np.arange(first_id, first_id + count) % self.capacity] = _NO_FRAMES
        self.high += count
        self._evict_to(self.high - self.capacity)

    def insert(self, first_id: int, segment: Segment) -> None:
        """Copies a segment in; its transitions get the ids from ``first_id`` on.

        Args:
            first_id: must be the window's upper end, since ids are dense.
            segment: checked by the codec against this store's spec.
        """
        assert first_id == self.high
        meta = segment.meta
        rows = n_step_rows(
            meta.rewards,
            transitions=meta.transitions,
            n_step=self.n_step,
            discount=self.discount,
            terminated=meta.terminated,
        )
        frames = len(segment.frames)
        slot = self._make_room(frames)
        # Copies, because decoded arrays are views of the received bytes, which torch may not borrow.
        pixels = torch.from_numpy(np.array(segment.frames)).view(frames, -1)
        self._frames[slot : slot + frames] = pixels.to(self.device)
        newest = slot + self.spec.history - 1
        features = torch.from_numpy(np.array(meta.features))
        self._features[newest : slot + frames] = features.to(self.device)
        self.high = first_id + meta.transitions
        columns = np.arange(first_id, self.high) % self.capacity
        self._newest[columns] = np.arange(newest, newest + meta.transitions)
        self._span[columns] = rows.span
        self._returns[columns] = rows.returns
        self._discounts[columns] = rows.discounts
        self._actions[columns] = meta.actions[: meta.transitions]
        self._versions[columns] = meta.param_version
        self._segments.append(_Stored(slot, slot + frames, first_id, self.high))
        self._evict_to(self.high - self.capacity)

    def _make_room(self, frames: int) -> int:
        """Evicts until the frames fit in the budget; returns the first of a run of free slots."""
        while self._segments and self._frames_held + frames > self._budget:
            self.low = max(self.low, self._drop_oldest().next_id)
        self._frames_held += frames
        slot = self._write_slot if self._write_slot + frames <= self._slots else 0
        self._write_slot = slot + frames
        return slot

    def _evict_to(self, low: int) -> None:
        self.low = max(self.low, low)
        while self._segments and self._segments[0].next_id <= self.low:
            self._drop_oldest()

    def _drop_oldest(self) -> _Stored:
        oldest = self._segments.popleft()
        self._frames_held -= oldest.frames
        return oldest

    def holds(self, ids: npt.NDArray[np.int64]) -> bool:
        """Returns whether every id lies in the window and has data."""
        if not len(ids) or ids.min() < self.low or ids.max() >= self.high:
            return False
        return bool((self._newest[ids % self.capacity] != _NO_FRAMES).all())

    def gather(self, ids: npt.NDArray[np.int64], weights: npt.NDArray[np.float32]) -> Batch:
        """Returns the transitions of some ids as one batch; valid until the next call.

        Args:
            ids: int64 [batch], all of which the store holds.
            weights: float32 [batch], importance weights.
        """
        assert len(ids) == len(self._images)
        assert self.holds(ids)
        columns = ids % self.capacity
        newest = self._newest[columns]
        # Two transfers a batch: all integers, then all reals.
        integers = self._move(
            np.stack([newest, newest + self._span[columns], self._actions[columns]])
        )
        reals = self._move(np.stack([self._returns[columns], self._discounts[columns], weights]))
        return Batch(
            images=self._stacks(integers[0], self._images),
            features=self._features[integers[0]],
            actions=integers[2],
            returns=reals[0],
            discounts=reals[1],
            next_images=self._stacks(integers[1], self._next_images),
            next_features=self._features[integers[1]],
            weights=reals[2],
        )

    def _move(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _stacks(self, newest: Tensor, out: Tensor) -> Tensor:
        """Copies the ``history`` frames that end at each slot into out [batch, history, h, w]."""
        slots = (newest.unsqueeze(1) + self._ages).view(-1)
        torch.index_select(self._frames, 0, slots, out=out.view(len(slots), -1))
        return out

    def versions(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns the param version that drove each transition, int64 [batch]."""
        return self._versions[ids % self.capacity]

    def check_valid(self) -> None:
        """Asserts the invariants that tests call after every mutation."""
        assert 0 <= self.size <= self.capacity
        spans = sorted((stored.begin, stored.end) for stored in self._segments)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        assert all(0 <= begin < end <= self._slots for begin, end in spans)
        assert self._frames_held == sum(end - begin for begin, end in spans) <= self._budget
        assert all(a.next_id <= b.next_id for a, b in pairwise(self._segments))
        if self._segments:
            assert self._segments[0].next_id > self.low
            assert self._segments[-1].next_id <= self.high
        window = self._newest[np.arange(self.low, self.high) % self.capacity]
        held = window[window != _NO_FRAMES]
        covered = np.zeros(self._slots, bool)
        for begin, end in spans:
            covered[begin:end] = True
        assert covered[held].all()
