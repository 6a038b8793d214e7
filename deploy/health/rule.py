"""One rule of health: a figure, what it should be, what another value means, and what to do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from common.config import Config
from deploy.health.check import Band, Bands, Point
from deploy.health.expectation import Expectation

Bound = Callable[[Expectation, Point], Band | None]
"""What is fine at a moment; None where it cannot be judged yet."""
Subject = Literal["learning", "replay", "fleet"]


def never(_expectation: Expectation, _point: Point) -> Band:
    """Returns the bound of a severity that a rule does not have: everything is fine."""
    return Band()


def always(_config: Config) -> bool:
    """Returns that a rule holds for every run."""
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: constant, as people and programs refer to it.
        subject: what it is about.
        signal: the figure, as ``Signals`` names it.
        figure: the same in words, with its unit.
        phase: when it is judged, in words.
        expects: what is fine, in words, at the proven run's settings.
        meaning: what a value outside means.
        remedy: what to do about it.
        watch: bound beyond which somebody should look.
        red: bound beyond which the run is ill.
        hold: figures in a row that change the state.
        applies: whether a run is judged by it at all.
    """

    name: str
    subject: Subject
    signal: str
    figure: str
    phase: str
    expects: str
    meaning: str
    remedy: str
    watch: Bound = never
    red: Bound = never
    hold: int = 3
    applies: Callable[[Config], bool] = always

    @property
    def severity(self) -> str:
        """The worst state that it can have."""
        return "watch" if self.red is never else "red"

    def bands(self, expectation: Expectation, point: Point) -> Bands | None:
        """Returns the bounds at a moment, or None where it cannot be judged yet."""
        watch, red = self.watch(expectation, point), self.red(expectation, point)
        return None if watch is None or red is None else Bands(watch, red)
