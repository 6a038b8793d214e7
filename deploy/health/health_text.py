"""The health of a run in words, for terminals."""

import math
from collections.abc import Iterator

from deploy.health.check import Check, State
from deploy.health.rule import Rule
from deploy.health.run_health import Change, RunHealth

_KNOWN: tuple[State, ...] = ("red", "watch", "ok")


def change_text(change: Change) -> str:
    """Returns what to say of a check that turned red, or healed."""
    rule, check = change.rule, change.check
    if check.state != "red":
        return f"HEALED {rule.name}: {_value(check)} ({rule.figure}), now {check.state}"
    return (
        f"RED {rule.name}: {_value(check)} ({rule.figure}), expected {check.bound}\n"
        f"  means: {rule.meaning}\n"
        f"  do: {rule.remedy}"
    )


def headline(health: RunHealth) -> str:
    """Returns the whole health in one line."""
    ill = [
        f"{state}: {', '.join(rule.name for rule in health.in_state(state))}"
        for state in ("red", "watch")
        if health.in_state(state)
    ]
    if ill:
        return "; ".join(ill)
    return (
        f"{len(health.in_state('ok'))} checks ok, {len(health.in_state('unknown'))} not yet known"
    )


def health_lines(health: RunHealth) -> Iterator[str]:
    """Yields every check that is known, the worst first, with what is ill explained; counts the others."""
    for state in _KNOWN:
        for rule in health.in_state(state):
            yield from _lines(rule, health.checks[rule.name])
    ill, unknown = health.in_state("red") or health.in_state("watch"), health.in_state("unknown")
    if ill and unknown:  # else the headline counts them
        yield f"{len(unknown)} not yet known"


def _lines(rule: Rule, check: Check) -> Iterator[str]:
    since = check.since
    assert since is not None, "a known check has a beginning"
    yield (
        f"{check.state.upper() if check.state == 'red' else check.state:<6} {rule.name:<19}"
        f"{_value(check):>9}  {check.bound}; since episode {since.episode:,}, "
        f"{since.env_steps:,} env steps"
    )
    if check.state != "ok":
        yield f"{'':<7}{rule.figure}"
        yield f"{'':<7}means: {rule.meaning}"
        yield f"{'':<7}do: {rule.remedy}"


def _value(check: Check) -> str:
    assert check.newest is not None, "a known check has a value"
    value, names = check.newest.value, check.newest.names
    text = "no number" if math.isnan(value) else f"{value:.4g}"
    return f"{text} ({names})" if names else text
