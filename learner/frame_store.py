"""The learner's own copy of the log: each frame once, uint8, gathered into batches by id.

Segments arrive in id order and live in a ring of frame slots; a transition is a row of columns that
points at the slot of its newest frame. What the ring overwrites leaves the window ``[low, high)``,
which travels in every sampling request, so that no id outside it is ever asked for.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt
import torch

from common.game_spec import GameSpec
from common.segment import MAX_FRAMES, Segment, max_steps
from learner.batch import Batch

_SLACK_SEGMENTS = 8


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns of the transitions of one segment, offsets relative to its first frame."""

    newest: npt.NDArray[np.int64]
    span: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]


def n_step_rows(
    rewards: npt.NDArray[np.float32],
    *,
    transitions: int,
    n_step: int,
    discount: float,
    terminated: bool,
    history: int,
) -> _Rows:
    """Returns n-step returns and bootstraps of a segment's transitions.

    A transition looks at most ``n_step`` rewards ahead and stops at the segment's end, which is the
    episode's end for every transition that is cut short. A termination bootstraps with 0, a
    truncation with gamma to the number of steps taken.

    Args:
        rewards: float32 [m], one reward per env step.
        transitions: how many of the m steps start a transition here.
        n_step: the n of the return, in env steps.
        discount: gamma of one env step.
        terminated: whether the episode terminated with the last step.
        history: frames in an observation.

    Source:
        Sutton & Barto (2018), eq. 7.1; Pardo et al. (2018) for the bootstrap at time limits.
    """
    steps = len(rewards)
    start = np.arange(transitions, dtype=np.int64)
    span = np.minimum(n_step, steps - start)
    returns = np.zeros(transitions, np.float64)
    for offset in range(n_step):
        inside = start + offset < steps
        returns[inside] += discount**offset * rewards[start[inside] + offset]
    bootstraps = np.power(discount, span.astype(np.float64))
    if terminated:
        bootstraps[start + span == steps] = 0.0
    return _Rows(
        newest=start + history - 1,
        span=span,
        returns=returns.astype(np.float32),
        discounts=bootstraps.astype(np.float32),
    )


@numba.njit(cache=True)
def _gather_images(
    frames: npt.NDArray[np.uint8],
    newest: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
) -> None:
    """Copies the ``history`` frames that end at each slot into out [batch, history, bytes]."""
    history = out.shape[1]
    for row in range(newest.shape[0]):
        for age in range(history):
            out[row, age] = frames[newest[row] - history + 1 + age]


class FrameStore:
    """Ring of frames with the transitions that point into it.

    Args:
        spec: shapes of the game.
        capacity: most transitions kept.
        n_step: n of the returns, env steps.
        discount: gamma of one env step.
        batch_size: rows of a batch; its buffers are allocated once.
        device: where batches go.
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
        whole = -(-capacity // (max_steps(spec.history) - n_step + 1)) + _SLACK_SEGMENTS
        self.slots = whole * MAX_FRAMES
        self._frames = np.zeros((self.slots, spec.frame_bytes), np.uint8)
        self._features = np.zeros((self.slots, spec.n_features), np.float32)
        self._newest = np.zeros(capacity, np.int64)
        self._span = np.zeros(capacity, np.int64)
        self._actions = np.zeros(capacity, np.int64)
        self._returns = np.zeros(capacity, np.float32)
        self._discounts = np.zeros(capacity, np.float32)
        self._versions = np.zeros(capacity, np.int64)
        self._segments: deque[tuple[int, int, int, int]] = deque()
        self._write_slot = 0
        self.low = 0
        self.high = 0
        self._images = self._buffer(batch_size, torch.uint8, spec.history, spec.frame_bytes)
        self._next_images = self._buffer(batch_size, torch.uint8, spec.history, spec.frame_bytes)

    def _buffer(self, rows: int, dtype: torch.dtype, *shape: int) -> torch.Tensor:
        return torch.empty((rows, *shape), dtype=dtype, pin_memory=self.device.type == "cuda")

    @property
    def size(self) -> int:
        """Transitions that can be sampled now."""
        return self.high - self.low

    def start_at(self, first_id: int) -> None:
        """Sets the id of the first transition of an empty store."""
        assert self.size == 0
        self.low = self.high = first_id

    def skip(self, first_id: int, count: int) -> None:
        """Leaves ids without data, for a segment that failed its check.

        They stay inside the window, so the caller must tell the service never to sample them.
        """
        assert first_id == self.high
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
        frames = len(segment.frames)
        slot = self._allocate(frames)
        self._frames[slot : slot + frames] = segment.frames.reshape(frames, -1)
        look_back = self.spec.history - 1
        self._features[slot + look_back : slot + frames] = meta.features
        rows = n_step_rows(
            meta.rewards,
            transitions=meta.transitions,
            n_step=self.n_step,
            discount=self.discount,
            terminated=meta.terminated,
            history=self.spec.history,
        )
        columns = np.arange(first_id, first_id + meta.transitions) % self.capacity
        self._newest[columns] = rows.newest + slot
        self._span[columns] = rows.span
        self._returns[columns] = rows.returns
        self._discounts[columns] = rows.discounts
        self._actions[columns] = meta.actions[: meta.transitions]
        self._versions[columns] = meta.param_version
        self.high = first_id + meta.transitions
        self._segments.append((slot, slot + frames, first_id, self.high))
        self._evict_to(self.high - self.capacity)

    def _allocate(self, frames: int) -> int:
        """Returns a run of free slots, evicting the segments that lie in the way."""
        slot = self._write_slot if self._write_slot + frames <= self.slots else 0
        wrapped = slot != self._write_slot
        while self._segments:
            begin, end, _, last_id = self._segments[0]
            behind_wrap = wrapped and begin >= self._write_slot
            if not behind_wrap and (begin >= slot + frames or end <= slot):
                break
            self._segments.popleft()
            self.low = max(self.low, last_id)
        self._write_slot = slot + frames
        return slot

    def _evict_to(self, low: int) -> None:
        self.low = max(self.low, low)
        while self._segments and self._segments[0][3] <= self.low:
            self._segments.popleft()

    def gather(self, ids: npt.NDArray[np.int64], weights: npt.NDArray[np.float32]) -> Batch:
        """Returns the transitions of some ids as one batch; valid until the next call.

        Args:
            ids: int64 [batch], all inside ``[low, high)``.
            weights: float32 [batch], importance weights.
        """
        assert len(ids) == len(self._images)
        assert ids.min() >= self.low
        assert ids.max() < self.high
        columns = ids % self.capacity
        newest = self._newest[columns]
        next_newest = newest + self._span[columns]
        _gather_images(self._frames, newest, self._images.numpy())
        _gather_images(self._frames, next_newest, self._next_images.numpy())
        shape = (-1, self.spec.history, self.spec.frame_height, self.spec.frame_width)
        return Batch(
            images=self._on_device(self._images).view(shape),
            features=self._tensor(self._features[newest]),
            actions=self._tensor(self._actions[columns]),
            returns=self._tensor(self._returns[columns]),
            discounts=self._tensor(self._discounts[columns]),
            next_images=self._on_device(self._next_images).view(shape),
            next_features=self._tensor(self._features[next_newest]),
            weights=self._tensor(weights),
        )

    def _tensor(self, values: npt.NDArray[np.generic]) -> torch.Tensor:
        return self._on_device(torch.from_numpy(np.ascontiguousarray(values)))

    def _on_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, non_blocking=True)

    def versions(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns the param version that drove each transition, int64 [batch]."""
        return self._versions[ids % self.capacity]

    def check_valid(self) -> None:
        """Asserts the invariants that tests call after every mutation."""
        assert 0 <= self.size <= self.capacity
        spans = sorted((begin, end) for begin, end, _, _ in self._segments)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        if self._segments:
            assert self._segments[0][3] > self.low
            assert self._segments[-1][3] <= self.high
