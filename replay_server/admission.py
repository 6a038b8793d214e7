"""Lets ids into the sum tree, in the order of the log, as far as the learner holds their frames."""

import numpy as np

from replay_server.index import LogIndex
from replay_server.priorities import Priorities


def admit(priorities: Priorities, index: LogIndex, *, high: int) -> None:
    """Extends the window up to an id; nothing happens where it is there already.

    Ids that the index has lost stay in the window with no priority, so that they are never sampled.

    Args:
        priorities: the window's priorities; new ids get the actor's, or the current maximum.
        index: which entry holds which ids.
        high: id after the newest that may be sampled.
    """
    if high <= priorities.high:
        return
    for entry in index.since(priorities.high):
        start, end = max(entry.first_id, priorities.high), min(entry.end_id, high)
        if start >= high:
            break
        hole = start - priorities.high
        if hole > 0:
            priorities.append(hole, None)
            priorities.invalidate(np.arange(start - hole, start))
        known = entry.priorities
        if known is not None:
            known = known[start - entry.first_id : end - entry.first_id]
        priorities.append(end - start, known)
