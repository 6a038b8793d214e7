"""Counts what repeats, so that a log has a line now and then instead of one for each time."""

import time

PERIOD_S = 10.0


class Repetitions:
    """Tells when a repeated event deserves a line.

    The first time of each name does at once; after that one line a period, with the number since.

    Args:
        period_s: seconds between two lines about one name.
    """

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self._period_s = period_s
        self._due_s: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> int:
        """Counts more of an event, and returns how many to report now; 0 where it is too soon.

        Args:
            name: what repeats; there are few names, since each is kept.
            count: how often it happened now.
        """
        unsaid = self._unsaid.get(name, 0) + count
        now_s = time.monotonic()
        if now_s < self._due_s.get(name, now_s):
            self._unsaid[name] = unsaid
            return 0
        self._due_s[name] = now_s + self._period_s
        self._unsaid[name] = 0
        return unsaid
