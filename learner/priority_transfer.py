"""Brings priorities from the learner's device to the host without stopping the device."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from replay_server.messages import Update


@dataclass(frozen=True, slots=True)
class _Copy:
    ids: npt.NDArray[np.int64]
    priorities: Tensor
    done: torch.cuda.Event | None


class PriorityTransfer:
    """A queue of copies: on the CPU each is ready at once, on a GPU one learner step later.

    Waiting for the copy of the step before last keeps the GPU one step ahead of the host, so that it
    never idles; which step's priorities travel when does not depend on timing.

    Args:
        device: where the priorities come from.
    """

    def __init__(self, device: torch.device) -> None:
        self._lag = 1 if device.type == "cuda" else 0
        self._copies: deque[_Copy] = deque()

    def push(self, ids: npt.NDArray[np.int64], priorities: Tensor) -> None:
        """Starts the copy of one batch's priorities.

        Args:
            ids: int64 [batch].
            priorities: float32 [batch], on the device.
        """
        if not self._lag:
            self._copies.append(_Copy(ids, priorities, None))
            return
        pinned = torch.empty(priorities.shape, dtype=torch.float32, pin_memory=True)
        pinned.copy_(priorities, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        self._copies.append(_Copy(ids, pinned, done))

    def ready(self) -> list[Update]:
        """Returns the priorities that have arrived, oldest first."""
        return [self._finish() for _ in range(len(self._copies) - self._lag)]

    def flush(self) -> list[Update]:
        """Returns all of them, waiting for the device."""
        return [self._finish() for _ in range(len(self._copies))]

    def _finish(self) -> Update:
        copy = self._copies.popleft()
        if copy.done is not None:
            copy.done.synchronize()
        return copy.ids, copy.priorities.numpy()
