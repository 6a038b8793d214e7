"""An actor that joined by Redis alone: drives for whatever run the head serves, one after the other."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from actors.drive import ActorPlace, DriveReport, run_actor
from actors.process_setup import share_the_machine
from actors.trackmania.line_files import with_local_lines, with_trackmania
from common.config import Config
from common.contract import code_version
from common.errors import MismatchError
from common.keys import Keys
from deploy.actor_text import counted
from deploy.interrupts import Interrupts
from deploy.joined_home import JoinedHome, redis_url
from deploy.joined_status import JoinedStatus
from deploy.served_run import Head, RunWatch, ServedRun
from replay_server.connection import OUTAGES
from replay_server.shut_out import REFUSED, NotAllowedError, NotLetInError

_LOOK_S = 0.1
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JoinedActor:
    """One machine's actor.

    Attributes:
        home: what the machine keeps of it.
        settings: of the link to the game on this machine alone, by their names in game.trackmania.
        status: tells the person in front of it.
        patience_s: how long a head that does not take the password is asked again.
    """

    home: JoinedHome
    settings: Mapping[str, int]
    status: JoinedStatus
    patience_s: float

    def run(self, interrupts: Interrupts) -> None:
        """Drives run after run until somebody asks for the end.

        Args:
            interrupts: requests to stop; the first one drains and flushes.

        Raises:
            MismatchError: the head refuses this actor, has other code, or another process has its name.
            ConfigError: the run's game cannot be had here.
            MachineError: the game failed too often.
        """
        url = redis_url(self.home.invitation())
        head = Head(url, name=f"{self.home.name}-join", patience_s=self.patience_s)
        try:
            with _stopping(interrupts) as stop:
                while not stop.is_set():
                    run = head.wait_for_run(stop, self.status.say)
                    if run is not None:
                        self._tell_leftovers(besides=run.name)
                        self._drive(run, head=head, url=url, stop=stop)
        finally:
            head.close()

    def _drive(self, run: ServedRun, *, head: Head, url: str, stop: threading.Event) -> None:
        """Drives for one run until it ends, the head goes over to another one, or somebody stops us."""
        _require_same_code(run)
        config = self._localized(run)
        share_the_machine(0 if config.game.real_time else config.actors.nice)
        self.status.say(f"joins run {run.name}: {config.game.name}, {config.game.track}")
        leave = threading.Event()
        with _either(stop, leave), RunWatch(url, run, leave) as watch:
            try:
                report = run_actor(
                    config,
                    run.contract,
                    redis_url=url,
                    keys=Keys(run.name),
                    place=ActorPlace(self.home.name),
                    spool_dir=self.home.spool(run.name),
                    stop=leave,
                    observe=lambda heart: self.status.show(
                        run.name, heart, reachable=watch.reachable, refusal=watch.refusal
                    ),
                )
            except NotLetInError as error:
                # The game is closed, and the wait for a run is a long one: heads start slowly.
                self.status.say(f"stops driving for run {run.name}: {error.what}")
            except MismatchError as error:
                if isinstance(error, NotAllowedError) and _starts(head):
                    self.status.say(f"leaves run {run.name}: the head starts")
                    return
                if _goes_on(head, run):
                    raise
                self.status.say(f"run {run.name} is over: the head serves another one")
            else:
                self.status.say(_ending(run, report))

    def _localized(self, run: ServedRun) -> Config:
        """Returns the run's configuration as it is on this machine."""
        config = with_local_lines(run.contract.config, run.lines, folder=self.home.lines)
        return with_trackmania(config, **self.settings) if self.settings else config

    def _tell_leftovers(self, *, besides: str) -> None:
        for left in self.home.leftovers():
            if left.run != besides:
                self.status.say(
                    f"{counted(left.segments, 'segment')} ({left.size_bytes / 1e6:.1f} MB) of run {left.run} "
                    "kept on disk until the head resumes it; "
                    f"to give them up: apexmania actor leave {self.home.name}"
                )


def _require_same_code(run: ServedRun) -> None:
    """Compares the code before the game is opened, which may take long.

    Raises:
        MismatchError: it differs.
    """
    ours, theirs = code_version(), run.contract.code_version
    if ours != theirs:
        raise MismatchError(
            f"This machine's apexmania differs from the one of run {run.name!r}.",
            f"code version {ours[:12]} here, {theirs[:12]} on the head: a segment would be refused there",
            "install the same version of apexmania here and on the head, then: apexmania actor join NAME",
        )


def _goes_on(head: Head, run: ServedRun) -> bool:
    """Returns whether the head still serves a run; also where it does not tell us any more."""
    try:
        return head.still_serves(run)
    except (*OUTAGES, *REFUSED):
        return True


def _starts(head: Head) -> bool:
    """Returns whether the head has not said yet which run it serves; rights are those of that run alone."""
    try:
        return head.serves_none()
    except (*OUTAGES, *REFUSED):
        return False


def _ending(run: ServedRun, report: DriveReport) -> str:
    rest = (
        "all of it reached the head"
        if report.flushed
        else f"{counted(report.writer.spooled_segments, 'segment')} kept on disk"
    )
    dropped = report.writer.dropped_transitions
    lost = f", {counted(dropped, 'transition')} dropped" if dropped else ""
    return f"leaves run {run.name} after {report.env_steps:,} env steps: {rest}{lost}"


@contextmanager
def _stopping(interrupts: Interrupts) -> Iterator[threading.Event]:
    """Gives an event that is set soon after somebody asked for the end; a signal may set none itself."""
    stop = threading.Event()
    with _when(lambda: interrupts.asked, stop):
        yield stop


@contextmanager
def _either(stop: threading.Event, leave: threading.Event) -> Iterator[None]:
    """Sets one event soon after the other."""
    with _when(stop.is_set, leave):
        yield


@contextmanager
def _when(condition: Callable[[], bool], event: threading.Event) -> Iterator[None]:
    """Sets an event soon after a condition holds, while its block runs."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set() and not condition():
            time.sleep(_LOOK_S)
        if not over.is_set():
            event.set()

    thread = threading.Thread(target=look, name="stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
