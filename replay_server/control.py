"""The run's switch, which every process polls: running, draining, stopped."""

from typing import Literal, get_args

import redis

from common.keys import Keys
from replay_server.connection import call

State = Literal["running", "draining", "stopped"]
STATES: tuple[State, ...] = get_args(State)


class Control:
    """Reads and sets the state of a run.

    Draining means: actors finish and flush, the learner writes a checkpoint, then all stop.
    """

    def __init__(self, connection: redis.Redis, keys: Keys) -> None:
        self._redis = connection
        self._key = keys.control

    def state(self) -> State | None:
        """Returns the state, or None where nothing (or nothing known) was set."""
        return parse_state(call(self._redis, "GET", self._key))

    def set(self, state: State) -> None:
        """Sets the state for every process of the run."""
        self._redis.set(self._key, state)


def parse_state(value: bytes | None) -> State | None:
    """Returns the state that the key's value names, or None where it names none."""
    text = (value or b"").decode(errors="replace")
    return next((state for state in STATES if state == text), None)
