"""What the run tells its actors: go on, wait, drain, and how far the fleet has come."""

import threading
import time

from actors.insert_budget import InsertBudget
from actors.poller import Poller
from common.keys import Keys
from replay_server.connection import Client, connect
from replay_server.control import State
from replay_server.fleet_view import read_fleet
from replay_server.rate_limiter import LimiterState
from replay_server.shut_out import ShutOut

PERIOD_S = 1.0
PATIENT_PERIOD_S = 0.02
"""Of an actor that waits for the learner: the learner idles while it waits too long."""


class FleetFollower:
    """Polls the run's switch, the limiter and this actor's place in the fleet, in one round trip.

    Once a second, which a thousand actors may do; many times a second from when one waits to insert.

    Args:
        url: Redis.
        keys: the run.
        name: shown in Redis's client list.
        actor: whose place is followed; None for a process that drives nothing.
        index: place to begin with, from 0, until the launcher's is known.
        count: actors of the fleet to begin with; they share the room that the limiter leaves.
        count_episodes: whether ``episodes`` is needed too.
        period_s: seconds between polls as long as nobody waits to insert.
        shared: connection to use together with others; None opens one of its own.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        *,
        name: str,
        actor: str | None = None,
        index: int = 0,
        count: int = 1,
        count_episodes: bool = False,
        period_s: float = PERIOD_S,
        shared: Client | None = None,
    ) -> None:
        self._connection = shared or connect(url, name=name)
        self._owned = shared is None
        self._keys = keys
        self._poller = Poller(name, self._poll, period_s=period_s, shut_out=ShutOut(url))
        self._count_episodes = count_episodes
        self._budget = InsertBudget(count)
        self._changed = threading.Condition()
        self._actor = actor
        self._rest_due_s = 0.0
        self.index, self.count = index, count
        self.episodes = 0
        self.limiter: LimiterState | None = None
        self.control: State | None = None

    def start(self) -> None:
        """Starts to follow."""
        self._poller.start()

    def close(self) -> None:
        """Stops following."""
        self._poller.close()
        if self._owned:
            self._connection.close()

    def raise_failure(self) -> None:
        """Raises what ended the thread, if anything did."""
        self._poller.raise_failure()

    def wait_for_first(self, timeout_s: float) -> bool:
        """Waits until the run was asked once, and returns whether it answered."""
        return self._poller.polled.wait(timeout_s)

    @property
    def env_steps(self) -> int:
        """Env steps of the whole fleet that reached the log."""
        return self.limiter.inserted if self.limiter is not None else 0

    @property
    def ends(self) -> bool:
        """Whether the run wants its processes to finish."""
        return self.control in {"draining", "stopped"}

    def wait_to_insert(self, timeout_s: float) -> bool:
        """Waits until a patient actor may do one more env step, and returns whether it may.

        A run without a limiter, or a Redis that is away, makes it wait too: a simulated game would fill
        the spool with more than anybody will learn from.
        """
        self._poller.hurry(PATIENT_PERIOD_S)
        with self._changed:
            return self._changed.wait_for(self._budget.take, timeout_s)

    def _poll(self) -> None:
        now_s = time.monotonic()
        due = now_s >= self._rest_due_s
        seen = read_fleet(
            self._connection,
            self._keys,
            actor=self._actor if due else None,
            episodes=self._count_episodes and due,
        )
        if due:
            self._rest_due_s = now_s + PERIOD_S / 2
        self.control, self.limiter = seen.control, seen.limiter
        if seen.episodes is not None:
            self.episodes = seen.episodes
        if seen.place is not None:
            self.index, self.count = seen.place.index, seen.place.count
        with self._changed:
            self._budget.count = self.count
            self._budget.see(self.limiter, now_s=now_s)
            self._changed.notify_all()
