"""How far a patient actor may drive before it must look at the limiter again."""

import math

from replay_server.rate_limiter import LimiterState

RENEWAL_S = 0.1
_UNKNOWN_ROOM = 1 << 40


class InsertBudget:
    """Shares out the room that the limiter leaves, so that no actor outruns what it can see.

    A simulated game makes thousands of env steps a second, while the limiter's state is tens of
    milliseconds old: going on until it says stop would overshoot the band many times over. Each state
    that is seen therefore buys as many env steps as fit under the band, divided by the actors. Steps that
    still wait in an unfinished segment do not change the state, so an unchanged one buys again after a
    while; otherwise many actors with little room each would wait for one another for ever.

    Args:
        count: actors that share the room.
    """

    def __init__(self, count: int) -> None:
        self._count = max(1, count)
        self._state: LimiterState | None = None
        self._bought_at_s = -math.inf
        self.steps = 0

    def see(self, state: LimiterState | None, *, now_s: float) -> None:
        """Takes the newest state; None, or one that says stop, leaves nothing.

        Args:
            state: what the limiter published.
            now_s: monotonic time, seconds.
        """
        if state is None or not state.may_insert:
            self.steps = 0
            self._bought_at_s = -math.inf
        elif state != self._state or now_s - self._bought_at_s >= RENEWAL_S:
            room = state.max_inserted - state.inserted if state.max_inserted else _UNKNOWN_ROOM
            self.steps = max(1, math.ceil(room / self._count))
            self._bought_at_s = now_s
        self._state = state

    def take(self) -> bool:
        """Spends one env step, and returns whether there was one to spend."""
        if self.steps == 0:
            return False
        self.steps -= 1
        return True
