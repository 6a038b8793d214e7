"""What a terminal shows of the health while hardly any check is known."""

from common.config import Config
from deploy.health.check import Point
from deploy.health.health_text import headline, health_lines
from deploy.health.rules import RULES
from deploy.health.run_health import RunHealth


def test_checks_that_are_not_yet_known_are_counted_once_and_never_listed() -> None:
    health = RunHealth(Config())
    assert headline(health) == f"0 checks ok, {len(RULES)} not yet known"
    assert list(health_lines(health)) == []

    rule = next(rule for rule in RULES if rule.name == "actor_lost")
    for _ in range(rule.hold):
        health.judge(rule.signal, Point(1, 252, 0.0, 1.0))
    assert headline(health) == "red: actor_lost"
    lines = list(health_lines(health))
    assert lines[0].startswith("RED    actor_lost")
    assert lines[-1] == f"{len(RULES) - 1} not yet known"
