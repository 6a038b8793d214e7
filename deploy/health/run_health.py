"""All checks of one run: rows go in, states and their changes come out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from common.config import Config
from deploy.health.check import Check, Point, State, advance, as_values
from deploy.health.expectation import Expectation
from deploy.health.rule import Rule
from deploy.health.rules import RULES
from deploy.health.signals import Row, Signal, Signals


@dataclass(frozen=True, slots=True)
class Change:
    """A check that changed its state.

    Attributes:
        rule: of the check.
        before: the state that it had.
        check: as it is now.
    """

    rule: Rule
    before: State
    check: Check

    @property
    def now(self) -> tuple[Rule, Check]:
        """The rule and its check."""
        return self.rule, self.check

    @property
    def alarming(self) -> bool:
        """Whether it turned red or healed from that."""
        return self.check.state == "red" or self.before == "red"


class RunHealth:
    """The checks of a run, a pure function of the rows that it was fed.

    Args:
        config: of the run.
    """

    def __init__(self, config: Config) -> None:
        self._expectation = Expectation(config)
        self._signals = Signals(self._expectation)
        self._rules: dict[str, list[Rule]] = {}
        self.rules = tuple(rule for rule in RULES if rule.applies(config))
        for rule in self.rules:
            self._rules.setdefault(rule.signal, []).append(rule)
        self.checks: dict[str, Check] = {rule.name: Check() for rule in self.rules}

    def add_metrics(self, row: Row) -> list[Change]:
        """Takes a row of learner metrics and returns what changed."""
        return self._judge(self._signals.of_learner(row))

    def add_episode(self, row: Row) -> list[Change]:
        """Takes a finished episode and returns what changed."""
        return self._judge(self._signals.of_episode(row))

    def add_fleet(self, row: Row) -> list[Change]:
        """Takes a row of the fleet and returns what changed."""
        return self._judge(self._signals.of_fleet(row))

    def judge(self, signal: str, point: Point) -> list[Change]:
        """Takes one figure and returns what changed."""
        changes = []
        for rule in self._rules.get(signal, ()):
            bands = rule.bands(self._expectation, point)
            before = self.checks[rule.name]
            if bands is None:
                continue
            check = advance(before, point, bands, hold=rule.hold)
            self.checks[rule.name] = check
            if check.state != before.state:
                changes.append(Change(rule, before.state, check))
        return changes

    def in_state(self, state: State) -> list[Rule]:
        """Returns the rules whose checks have a state."""
        return [rule for rule in self.rules if self.checks[rule.name].state == state]

    def as_values(self) -> list[dict[str, Any]]:
        """Returns every check with its rule's words as plain values for JSON."""
        return [described(rule, self.checks[rule.name]) for rule in self.rules]

    def _judge(self, signals: Iterable[Signal]) -> list[Change]:
        return [change for name, point in signals for change in self.judge(name, point)]


def described(rule: Rule, check: Check) -> dict[str, Any]:
    """Returns a check with its rule's words as plain values for JSON."""
    return {
        "check": rule.name,
        "subject": rule.subject,
        **as_values(check),
        "figure": rule.figure,
        "meaning": rule.meaning,
        "remedy": rule.remedy,
    }
