"""What the run tells its actors: go on, wait, drain, and how far the fleet has come."""

import threading
import time

from actors.insert_budget import InsertBudget
from actors.poller import Poller
from common.keys import Keys
from replay_server.connection import connect
from replay_server.control import Control, State
from replay_server.episodes import last_episode_number
from replay_server.rate_limiter import LimiterState, read_limiter

_POLL_S = 0.02


class FleetFollower:
    """Polls the run's switch and the limiter.

    Args:
        url: Redis.
        keys: the run.
        name: shown in Redis's client list.
        count: actors of the fleet, which share the room that the limiter leaves.
        count_episodes: whether ``episodes`` is needed too.
        period_s: seconds between polls; short, since the learner idles while actors wait too long.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        *,
        name: str,
        count: int = 1,
        count_episodes: bool = False,
        period_s: float = _POLL_S,
    ) -> None:
        self._connection = connect(url, name=name)
        self._control = Control(self._connection, keys)
        self._keys = keys
        self._poller = Poller(name, self._poll, period_s=period_s)
        self._count_episodes = count_episodes
        self._budget = InsertBudget(count)
        self._changed = threading.Condition()
        self.episodes = 0
        self.limiter: LimiterState | None = None
        self.control: State | None = None

    def start(self) -> None:
        """Starts to follow."""
        self._poller.start()

    def close(self) -> None:
        """Stops following."""
        self._poller.close()
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
        with self._changed:
            return self._changed.wait_for(self._budget.take, timeout_s)

    def _poll(self) -> None:
        self.control = self._control.state()
        self.limiter = read_limiter(self._connection, self._keys)
        if self._count_episodes:
            self.episodes = last_episode_number(self._connection, self._keys)
        with self._changed:
            self._budget.see(self.limiter, now_s=time.monotonic())
            self._changed.notify_all()
