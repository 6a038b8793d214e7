"""The state of one check, moved by one figure at a time; flickering figures do not move it."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

State = Literal["unknown", "ok", "watch", "red"]
WORSE: tuple[State, ...] = ("unknown", "ok", "watch", "red")
"""From the mildest to the worst."""
_SLACK = 0.1
"""To heal, a figure has to come back by so much more than the bound, relative to it."""


@dataclass(frozen=True, slots=True)
class Point:
    """One figure of a run and when it was so.

    Attributes:
        episode: finished episodes of the fleet.
        env_steps: env steps of the fleet.
        time: Unix time in seconds.
        value: the figure; NaN where it is not a number any more.
        names: whom it counts, where it counts somebody.
    """

    episode: int
    env_steps: int
    time: float
    value: float
    names: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """The values that are fine.

    Attributes:
        low: the smallest.
        high: the largest.
    """

    low: float = -math.inf
    high: float = math.inf

    def holds(self, value: float) -> bool:
        """Returns whether a value is fine; what is not a number never is."""
        return self.low <= value <= self.high

    def tightened(self) -> "Band":
        """Returns the band that a value has to reach to count as healed."""
        return Band(self.low + _SLACK * _size(self.low), self.high - _SLACK * _size(self.high))

    def __str__(self) -> str:
        """Returns it in words."""
        parts = []
        if math.isfinite(self.low):
            parts.append(f"at least {self.low:.4g}")
        if math.isfinite(self.high):
            parts.append(f"at most {self.high:.4g}")
        return " and ".join(parts) or "any"


@dataclass(frozen=True, slots=True)
class Bands:
    """The bounds of a rule at one moment; None is a severity that the rule does not have.

    Attributes:
        watch: outside of it somebody should have a look.
        red: outside of it the run is ill.
    """

    watch: Band | None = None
    red: Band | None = None

    def state(self, value: float) -> State:
        """Returns what a value alone would mean."""
        if self.red is not None and not self.red.holds(value):
            return "red"
        if self.watch is not None and not self.watch.holds(value):
            return "watch"
        return "ok"

    def tightened(self) -> "Bands":
        """Returns the bounds that a value has to keep to heal."""
        return Bands(self.watch and self.watch.tightened(), self.red and self.red.tightened())


@dataclass(frozen=True, slots=True)
class Check:
    """What is known of one rule in one run.

    Attributes:
        state: unknown until enough figures came.
        since: first figure that meant this state.
        newest: the last figure.
        bands: its bounds then.
        turning: state that the newest figures mean, where it is another one.
        turning_since: the first of those figures.
        turning_count: how many they are.
    """

    state: State = "unknown"
    since: Point | None = None
    newest: Point | None = None
    bands: Bands = Bands()
    turning: State | None = None
    turning_since: Point | None = None
    turning_count: int = 0

    @property
    def bound(self) -> Band:
        """The bound that matters: the one that was broken, or the first that would be."""
        order = (self.bands.watch, self.bands.red)
        for band in reversed(order) if self.state == "red" else order:
            if band is not None and band != Band():
                return band
        return Band()


def advance(check: Check, point: Point, bands: Bands, *, hold: int) -> Check:
    """Returns the check after one more figure.

    A state changes when ``hold`` figures in a row lie beyond it, and to the mildest of what they mean;
    it heals when as many lie inside tightened bounds.

    Args:
        check: before.
        point: the figure.
        bands: what is fine at this moment.
        hold: figures in a row that it takes.
    """
    wanted = _wanted(check.state, point.value, bands)
    check = replace(check, newest=point, bands=bands)
    if wanted == check.state:
        return replace(check, turning=None, turning_since=None, turning_count=0)
    same_way = check.turning is not None and (
        check.state == "unknown"
        or _worse(check.turning, check.state) == _worse(wanted, check.state)
    )
    since = check.turning_since if same_way else point
    count = check.turning_count + 1 if same_way else 1
    if same_way and check.turning is not None:
        wanted = _nearest(check.state, wanted, check.turning)
    if count < hold:
        return replace(check, turning=wanted, turning_since=since, turning_count=count)
    return Check(state=wanted, since=since, newest=point, bands=bands)


def as_values(check: Check) -> dict[str, Any]:
    """Returns the check as plain values for JSON."""
    since, newest = check.since, check.newest
    return {
        "state": check.state,
        "since": None if since is None else _moment(since),
        "value": None if newest is None or not math.isfinite(newest.value) else newest.value,
        "at": None if newest is None else _moment(newest),
        "names": "" if newest is None else newest.names,
        "bound": str(check.bound),
    }


def _moment(point: Point) -> dict[str, Any]:
    return {"episode": point.episode, "env_steps": point.env_steps, "time": point.time}


def _wanted(state: State, value: float, bands: Bands) -> State:
    """Returns the state that a value means, given the one that holds."""
    worst = bands.state(value)
    if state == "unknown" or _worse(worst, state):
        return worst
    mildest = bands.tightened().state(value)
    return mildest if _worse(state, mildest) else state


def _worse(one: State, other: State) -> bool:
    return WORSE.index(one) > WORSE.index(other)


def _nearest(state: State, one: State, other: State) -> State:
    """Returns which of two states lies nearer to the one that holds."""
    place = WORSE.index(state)
    return min((one, other), key=lambda each: abs(WORSE.index(each) - place))


def _size(bound: float) -> float:
    return abs(bound) if math.isfinite(bound) else 0.0
