"""Actors on the machines of a cluster: as many as these have games, while machines come and go."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from common.errors import ApexManiaError
from deploy.fleet import Fleet
from deploy.placement import Seat, seats
from deploy.roster import Roster
from deploy.run_files import read_values
from deploy.run_folder import write_json
from replay_server.connection import OUTAGES

_log = structlog.get_logger()

SEATS_FILE = "seats.json"
"""In the run folder: which actor belongs to which machine."""
_PERIOD_S = 1.0
_NOBODY_DRIVES = (
    "No machine drives: the cluster has none with a game at present. The training waits for one: "
    "apexmania cluster add-actor FILE ADDRESS, or on that machine: apexmania cluster node worker --head ADDRESS"
)


class GameFleet:
    """Gives every seat of the cluster an actor, of the same name for as long as the run lives.

    Ray itself starts an actor again when its machine is back, because it may be nowhere else. Where an
    actor failed for good, for instance with another version of the code, it waits for its machine's next
    node.

    Args:
        fleet: takes the actors.
        start: starts the actor of a name on a seat.
        roster: learns who drives.
        say: tells the person in front of the console.
        file: keeps who sits where, for a resumed run.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        start: Callable[[str, Seat], None],
        roster: Roster,
        say: Callable[[str], None],
        file: Path,
    ) -> None:
        self._fleet = fleet
        self._start = start
        self._roster = roster
        self._say = say
        self._file = file
        self._names: dict[str, str] = read_values(file)
        self._alive: dict[Seat, str] = {}
        self._refused: dict[Seat, str] = {}
        self._due = 0.0
        self._empty_told = False

    def follow(self) -> None:
        """Looks at the cluster once a second, and brings the actors up to what it has.

        An actor gets its user on Redis first; while that is away, who comes waits for the next look.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _PERIOD_S
        self._note_failures(self._fleet.take_failures())
        found = seats()
        for seat in self._alive.keys() - found.keys():
            self._leave(seat)
        with contextlib.suppress(*OUTAGES):
            for seat, node in sorted(found.items(), key=str):
                if seat not in self._alive:
                    self._join(seat)
                self._alive[seat] = node
                self._seat_again(seat, node)
        if not found and not self._empty_told:
            self._say(_NOBODY_DRIVES)
        self._empty_told = not found

    def give_up_absent(self) -> None:
        """Lets nobody wait at the end for actors whose machine is gone."""
        found = {str(seat) for seat in seats()}
        self._fleet.give_up(name for place, name in self._names.items() if place not in found)

    def _join(self, seat: Seat) -> None:
        name = self._names.setdefault(str(seat), f"actor-{len(self._names)}")
        write_json(self._file, self._names)
        if name not in self._fleet.names:
            self._start(name, seat)
        self._roster.add(name)
        _log.info("machine_joined", address=seat.address, actor=name)
        self._say(f"{seat.address} is here: {name} drives there.")

    def _leave(self, seat: Seat) -> None:
        del self._alive[seat]
        name = self._names[str(seat)]
        self._roster.discard(name)
        _log.warning("machine_left", address=seat.address, actor=name)
        self._say(f"{seat.address} is gone; {name} goes on when that machine is back.")

    def _seat_again(self, seat: Seat, node: str) -> None:
        """Starts the actor of a machine that joined as another node than the one where it failed."""
        name = self._names[str(seat)]
        if name not in self._fleet.names and self._refused.get(seat) != node:
            self._start(name, seat)
            self._roster.add(name)

    def _note_failures(self, failures: Mapping[str, ApexManiaError]) -> None:
        by_name = {self._names[str(seat)]: seat for seat in self._alive}
        for name, error in failures.items():
            self._roster.discard(name)
            seat = by_name.get(name)
            if seat is not None:
                self._refused[seat] = self._alive[seat]
            where = "its machine" if seat is None else seat.address
            self._say(f"{name} on {where} does not drive.\n{error}")
