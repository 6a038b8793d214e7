"""Waits for something that another process does."""

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], *, timeout_s: float = 20.0, every_s: float = 0.02
) -> None:
    """Returns as soon as the condition holds; fails where it does not in time.

    Args:
        condition: looked at again and again.
        timeout_s: for how long.
        every_s: pause between two looks, longer where a look itself is work.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(every_s)
