"""Waits for something that another process does."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], *, timeout_s: float = 20.0) -> None:
    """Returns as soon as the condition holds; fails where it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.02)
