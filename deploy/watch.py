"""Follows a running fleet: records its rows, shows them, and notices that it is over."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from common.errors import ApexManiaError, UnreachableError
from common.keys import Keys
from deploy.console import RunConsole
from deploy.end_conditions import EndConditions
from deploy.fleet import Fleet
from deploy.health.health_watch import HealthWatch
from deploy.interrupts import Interrupts
from deploy.recorder import Recorder
from deploy.restarts import Restarts
from deploy.run_progress import RunProgress
from replay_server.client import ReplayClient
from replay_server.connection import OUTAGES, connect
from replay_server.hearts import read_all

_log = structlog.get_logger()

_POLL_S = 0.25
_HEARTS_EVERY_S = 1.0
_HEARTS_PER_S = 2000
"""Read a second at most, each with its picture of five kilobytes."""
_RESTARTS_EVERY_S = 1.0
INTERRUPTED = "interrupted"


class Watch:
    """The launcher's loop while the fleet works.

    Args:
        url: Redis.
        keys: the run's keys.
        fleet: what is watched.
        recorder: copies the rows.
        progress: the totals that the recorder fills.
        console: shows them.
        health: judges what is followed.
        conditions: when the run is over.
        check: raises what ended another thread of the launcher.
    """

    def __init__(
        self,
        *,
        url: str,
        keys: Keys,
        fleet: Fleet,
        recorder: Recorder,
        progress: RunProgress,
        console: RunConsole,
        health: HealthWatch,
        conditions: EndConditions,
        check: Callable[[], None],
    ) -> None:
        self._connection = connect(url, name="watch")
        self._keys = keys
        self._fleet = fleet
        self._recorder = recorder
        self._progress = progress
        self._console = console
        self._health = health
        self._conditions = conditions
        self._check = check
        self._began = time.monotonic()
        self._hearts_due = 0.0
        self._restarts = Restarts()
        self._restarts_due = 0.0
        self._away = False
        self._away_since = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the fleet was started."""
        return time.monotonic() - self._began

    @property
    def _away_s(self) -> float:
        """Seconds for which Redis has not answered."""
        return time.monotonic() - self._away_since if self._away else 0.0

    def follow(self, interrupts: Interrupts) -> str:
        """Returns the reason to end once there is one.

        Raises:
            ApexManiaError: a member of the fleet failed, or ended although nobody asked it to.
        """
        while not interrupts.asked:
            self._poll()
            self._health.look(self._progress.hearts, redis_away_s=self._away_s)
            self._check()
            reason = self._conditions.reached(self._progress, elapsed_s=self.elapsed_s)
            if reason is not None:
                return reason
            ended = self._fleet.ended()
            if ended:
                raise ApexManiaError(
                    f"The {ended[0]} ended in the middle of the run.",
                    "nobody asked it to: this is a bug in apexmania",
                    "read the run's logs/ray, and resume the run",
                )
            time.sleep(_POLL_S)
        return INTERRUPTED

    def wait_for(self, names: Iterable[str], *, limit_s: float) -> bool:
        """Waits for members to come to their end and returns whether all did in time.

        Raises:
            ApexManiaError: a member failed.
        """
        wanted = list(names)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            self._poll()
            if not self._fleet.still_running(wanted):
                return True
            time.sleep(_POLL_S)
        late = self._fleet.still_running(wanted)
        _log.error("members_late", names=late, limit_s=limit_s)
        self._console.say(
            f"{', '.join(late)} did not end within {limit_s:.0f} s and will be killed."
        )
        return False

    def replay_figures(self) -> dict[str, Any]:
        """Returns the figures of the replay for the summary, what is known of them."""
        dropped = sum(
            int(heart.get("dropped_transitions") or 0) for heart in self._progress.hearts.values()
        )
        client = ReplayClient(self._connection, self._keys)
        try:
            stats: dict[str, Any] = client.stats()
        except UnreachableError as error:
            _log.warning("replay_figures_missing", why=error.why)
            return {"dropped_transitions": dropped}
        finally:
            client.close()
        limiter = stats["limiter"]
        inserted = limiter["inserted"]
        return {
            "transitions_indexed": stats["next_id"],
            "transitions_held": stats["high"] - stats["low"],
            "transitions_sampled": limiter["sampled"],
            "samples_per_insert": round(limiter["sampled"] / inserted, 3) if inserted else None,
            "quarantined": stats["quarantined"],
            "gaps": stats["gaps"],
            "dropped_transitions": dropped,
            "updates_dropped": stats["updates_dropped"],
        }

    def record_rest(self) -> None:
        """Copies what is left in the streams."""
        self._record()

    def _poll(self) -> None:
        self._record()
        if time.monotonic() >= self._restarts_due:
            self._restarts_due = time.monotonic() + _RESTARTS_EVERY_S
            self._note_restarts()
        elapsed_s = self.elapsed_s
        left = self._conditions.left(self._progress, elapsed_s=elapsed_s)
        self._console.show(self._progress, elapsed_s=elapsed_s, left=left)

    def _note_restarts(self) -> None:
        lines = self._restarts.note(
            self._fleet.restarts(), learner_steps=self._progress.learner_steps
        )
        for line in lines:
            _log.warning("member_restarted", line=line)
            self._console.say(line)

    def _record(self) -> None:
        try:
            self._recorder.poll()
            if time.monotonic() >= self._hearts_due:
                hearts = read_all(self._connection, self._keys)
                self._progress.hearts = hearts
                pause_s = max(_HEARTS_EVERY_S, len(hearts) / _HEARTS_PER_S)
                self._hearts_due = time.monotonic() + pause_s
        except OUTAGES as error:
            self._note_outage(away=True, why=str(error))
        else:
            self._note_outage(away=False, why="")

    def _note_outage(self, *, away: bool, why: str) -> None:
        if away == self._away:
            return
        self._away = away
        if away:
            self._away_since = time.monotonic()
            _log.warning("redis_away", error=why)
            self._console.say(
                f"Redis is away ({why}); actors spool, the run goes on when it is back."
            )
        else:
            _log.info("redis_back")
            self._console.say("Redis is back.")
