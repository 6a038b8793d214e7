"""When the tasks of keeping house are due, and how a failed one holds up no other."""

import time
from collections.abc import Callable, Iterable

import redis


class Upkeep:
    """Tasks by name, each due at once and then once a period."""

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}

    def is_due(self, task: str, period_s: float) -> bool:
        """Returns whether a task is due, and if so takes it as done.

        Args:
            task: its name.
            period_s: seconds until it is due again.
        """
        now_s = time.monotonic()
        if now_s < self._due_s.get(task, 0.0):
            return False
        self._due_s[task] = now_s + period_s
        return True

    @staticmethod
    def attempt(tasks: Iterable[Callable[[], None]]) -> None:
        """Does every task, also after one failed.

        Raises:
            redis.RedisError: of the first one that Redis refused.
        """
        failure: redis.RedisError | None = None
        for task in tasks:
            try:
                task()
            except redis.RedisError as error:
                failure = failure or error
        if failure is not None:
            raise failure
