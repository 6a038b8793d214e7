"""What can go wrong with a game, on demand: names, how long, and which of it holds now."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from common.errors import ConfigError

FAULTS: dict[str, str] = {
    "drop": "the plugin closes its connection once",
    "stall": "the plugin sends nothing; the picture goes on",
    "freeze": "nothing moves: no picture, no telemetry, controls are ignored",
    "window": "the window is gone",
    "misframe": "one message of 43 bytes, then whole ones again",
    "close": "the game exits",
    "map": "another map of the catalogue is loaded",
    "menu": "the game is in its menu: the plugin is silent, the picture moves, the car is gone",
    "deaf": "the gamepad is ignored",
    "stubborn": "the window refuses to be resized",
    "slow": "pictures and telemetry come five times a second",
}
MOMENTARY = frozenset({"drop", "misframe", "close"})
"""These happen once and are over; the others last."""
HEAL = "heal"

_WRITTEN = re.compile(
    r"(?P<name>[a-z]+)(?:@(?P<after>\d+(?:\.\d+)?)(?:\+(?P<span>\d+(?:\.\d+)?))?)?"
)


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault that comes by itself.

    Attributes:
        name: of ``FAULTS``.
        after_s: seconds after the start of the game.
        span_s: how long it lasts, in seconds; None until it is healed.
    """

    name: str
    after_s: float = 0.0
    span_s: float | None = None

    def __str__(self) -> str:
        """Returns how it is written."""
        span = "" if self.span_s is None else f"+{self.span_s:g}"
        return f"{self.name}@{self.after_s:g}{span}"


def check_fault(name: str) -> str:
    """Returns the name of a fault.

    Raises:
        ConfigError: there is no such fault.
    """
    if name in FAULTS:
        return name
    close = difflib.get_close_matches(name, FAULTS, n=1)
    raise ConfigError(
        f"There is no fault {name!r}.",
        f"the stand-in knows {', '.join(FAULTS)}, and {HEAL} to end them",
        f"apexmania game fault {close[0] if close else 'stall'}",
    )


def parse_fault(text: str) -> PlannedFault:
    """Returns a fault from ``NAME``, ``NAME@AFTER_S`` or ``NAME@AFTER_S+FOR_S``.

    Raises:
        ConfigError: the text says none.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ConfigError(
            f"{text!r} is no fault.",
            "it is written NAME[@AFTER_S[+FOR_S]], with seconds after the start and how long",
            "--fault stall@20+5",
        )
    span = written["span"]
    return PlannedFault(
        check_fault(written["name"]),
        float(written["after"] or 0.0),
        None if span is None else float(span),
    )


class Faults:
    """Which faults hold.

    Times are seconds of any one clock that only goes on.
    """

    def __init__(self, planned: Iterable[PlannedFault] = (), *, now_s: float = 0.0) -> None:
        """Plans faults.

        Args:
            planned: those that come by themselves.
            now_s: the time of the start.
        """
        self._planned = sorted(
            ((now_s + fault.after_s, fault) for fault in planned), key=lambda due: due[0]
        )
        self._ends: dict[str, float | None] = {}
        self._struck: list[str] = []

    @property
    def active(self) -> tuple[str, ...]:
        """The lasting faults that hold, in the order of ``FAULTS``."""
        return tuple(name for name in FAULTS if name in self._ends)

    def __contains__(self, name: str) -> bool:
        """Whether a lasting fault holds."""
        return name in self._ends

    def strike(self, name: str, *, now_s: float, span_s: float | None = None) -> None:
        """Lets a fault happen.

        Args:
            name: of ``FAULTS``.
            now_s: the time.
            span_s: how long a lasting one holds, in seconds; None until it is healed.
        """
        if name in MOMENTARY:
            self._struck.append(name)
        else:
            self._ends[name] = None if span_s is None else now_s + span_s

    def heal(self) -> None:
        """Ends all faults that hold, and calls off those that were planned or are just to happen."""
        self._ends.clear()
        self._struck.clear()
        self._planned.clear()

    def advance(self, now_s: float) -> list[str]:
        """Begins and ends what is due; returns the momentary faults that happen now.

        Args:
            now_s: the time.
        """
        while self._planned and self._planned[0][0] <= now_s:
            due_s, fault = self._planned.pop(0)
            self.strike(fault.name, now_s=due_s, span_s=fault.span_s)
        self._ends = {
            name: end_s for name, end_s in self._ends.items() if end_s is None or end_s > now_s
        }
        struck, self._struck = self._struck, []
        return struck
