"""How far a patient actor may drive before it must look at the limiter again."""

import math

from common.segment import MAX_FRAMES
from replay_server.rate_limiter import LimiterState

RENEWAL_S = 0.1
_UNKNOWN_ROOM = 1 << 40


class InsertBudget:
    """Shares out the room that the limiter leaves, so that no actor outruns what it can see.

    A simulated game makes thousands of env steps a second, while the limiter's state is tens of
    milliseconds old: going on until it says stop would overshoot the band many times over. Each new
    maximum therefore buys as many env steps as fit below it, divided by the actors. While the maximum
    stays, more inserts only mean that the service counts what was bought, so they buy nothing at once.

    Steps that still wait in an unfinished segment are not counted, and a lost actor leaves its share:
    so every maximum buys again after a while, a segment at most; otherwise many actors with little room
    each would wait for one another for ever. After a whole segment that changed nothing, each pause is
    twice as long as the one before: then it is the service that hangs.

    Args:
        count: actors that share the room; may change while they drive.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._state: LimiterState | None = None
        self._bought_at_s = -math.inf
        self._pause_s = RENEWAL_S
        self._bought_uncounted = 0
        self.steps = 0

    def see(self, state: LimiterState | None, *, now_s: float) -> None:
        """Takes the newest state; None, or one that says stop, leaves nothing.

        Args:
            state: what the limiter published.
            now_s: monotonic time, seconds.
        """
        last, self._state = self._state, state
        if state is None or not state.may_insert:
            self.steps = 0
            self._state = None
        elif last is None or state.max_inserted != last.max_inserted:
            self._counts_on()
            self._buy(self._share(state), now_s=now_s)
        else:
            if state.inserted != last.inserted:
                self._counts_on()
            if self.steps == 0 and now_s >= self._bought_at_s + self._pause_s:
                if self._bought_uncounted >= MAX_FRAMES:
                    self._pause_s *= 2.0
                self._buy(min(self._share(state), MAX_FRAMES), now_s=now_s)

    def _counts_on(self) -> None:
        self._pause_s = RENEWAL_S
        self._bought_uncounted = 0

    def _share(self, state: LimiterState) -> int:
        room = state.max_inserted - state.inserted if state.max_inserted else _UNKNOWN_ROOM
        return max(1, math.ceil(room / self.count))

    def _buy(self, steps: int, *, now_s: float) -> None:
        self.steps = steps
        self._bought_uncounted += steps
        self._bought_at_s = now_s

    def take(self) -> bool:
        """Spends one env step, and returns whether there was one to spend."""
        if self.steps == 0:
            return False
        self.steps -= 1
        return True
