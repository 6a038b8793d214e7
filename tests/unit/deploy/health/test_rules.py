"""Each rule with a series that it accepts and one that it does not."""

from dataclasses import dataclass

import numpy as np
import pytest

from common.config import Config
from deploy.config_file import load_config
from deploy.health.check import Point
from deploy.health.expectation import PHASE_ENDS
from deploy.health.rules import RULES
from deploy.health.run_health import RunHealth
from deploy.health.signals import relative_fall

LATE = 2000
"""An episode in the third phase."""


@dataclass(frozen=True)
class Series:
    """Values of one signal in the third phase."""

    healthy: tuple[float, ...]
    watched: tuple[float, ...] = ()
    ill: tuple[float, ...] = ()
    episode: int = LATE


SERIES: dict[str, Series] = {
    "q_value": Series((45.0, 40.0, 30.0), (20.0, 10.0), (-10.1, -40_000.0)),
    "overestimation": Series((0.3, 2.9), (3.1, 9.0), (11.0,)),
    "loss": Series((1.0, 3.0), (4.0, 9.0), (10.5, 40.0)),
    "gradient": Series((0.3, 49.0), (51.0, 99.0), (101.0, 430.0)),
    "epsilon": Series((0.8, 0.72), (0.55,), (0.49, 0.01)),
    "reward": Series((125.0, 70.0), (50.0, -3.0)),
    "reward_trend": Series((0.0, 0.1), (0.2,), (0.4,)),
    "reward_spread": Series((5.0, 0.1), (0.0,)),
    "finishes": Series((0.5, 0.01), (0.0,)),
    "actions": Series((0.1, 0.7), (0.85,), (0.95, 1.0)),
    "samples_per_insert": Series((1.0, 0.9, 1.2), (0.7, 1.5), (0.4, 3.0)),
    "replay_age": Series((0.5, 1.5), (3.0,), (20.0,)),
    "priorities": Series((1.0, 0.2), (0.02,), (0.001,)),
    "quarantine": Series((0.0,), (1.0, 10.0), (11.0,)),
    "redis_away": Series((0.0, 5.0), (20.0,), (61.0,)),
    "actor_lost": Series((0.0,), (), (1.0, 3.0)),
    "member_lost": Series((0.0,), (), (1.0,)),
    "actor_still": Series((0.0,), (), (1.0,)),
    "learner_idle": Series((0.0, 30.0), (61.0,), (301.0,)),
    "weights_lag": Series((0.0, 2.0), (5.0,), (30.0,)),
    "weights_bad": Series((0.0,), (1.0,), (4.0,)),
    "late_steps": Series((0.0, 0.01), (0.05,), (0.2,)),
    "game_faults": Series((0.0, 0.05), (0.2,), (0.8,)),
    "spool": Series((0.0, 0.05), (0.2,), (0.7,)),
    "drops": Series((0.0,), (), (1.0,)),
}


def _health(config: Config | None = None) -> RunHealth:
    """Returns checks that know when learning began."""
    health = RunHealth(config or Config())
    health._expectation.first_episode = 0
    return health


def _state(name: str, value: float, *, episode: int = LATE) -> str:
    health = _health()
    rule = next(rule for rule in RULES if rule.name == name)
    for _ in range(rule.hold):
        health.judge(rule.signal, Point(episode, 252 * episode, 0.0, value))
    return health.checks[name].state


def test_every_rule_has_a_series_and_a_name_of_its_own() -> None:
    assert [rule.name for rule in RULES] == list(SERIES)


@pytest.mark.parametrize("name", SERIES)
def test_a_rule_tells_healthy_from_ill(name: str) -> None:
    series = SERIES[name]
    assert [_state(name, value) for value in series.healthy] == ["ok"] * len(series.healthy)
    assert [_state(name, value) for value in series.watched] == ["watch"] * len(series.watched)
    assert [_state(name, value) for value in series.ill] == ["red"] * len(series.ill)
    severity = next(rule.severity for rule in RULES if rule.name == name)
    assert severity == ("red" if series.ill else "watch")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_explains_itself(rule: object) -> None:
    for words in ("figure", "phase", "expects", "meaning", "remedy"):
        assert len(getattr(rule, words)) > 5


def test_the_phases_are_judged_by_what_is_expected_in_them() -> None:
    assert _state("q_value", -0.5, episode=10) == "ok"
    assert _state("q_value", -2.0, episode=10) == "watch"
    assert _state("loss", 12.0, episode=10) == "ok"
    assert _state("loss", 12.0, episode=501) == "red"
    assert _state("reward", 0.0, episode=400) == "unknown"
    assert _state("actions", 1.0, episode=0) == "red"


def test_before_learning_began_nothing_about_learning_is_judged() -> None:
    health = RunHealth(Config())
    for _ in range(5):
        health.judge("action_share", Point(50, 1000, 0.0, 1.0))
    assert health.checks["actions"].state == "unknown"


def test_epsilon_may_fall_where_the_proven_run_would_have_explored_as_long() -> None:
    health = _health()
    for _ in range(3):
        health.judge("epsilon", Point(3000, 1_600_000, 0.0, 0.37))
    assert health.checks["epsilon"].state == "ok"


def test_a_preset_for_short_runs_scales_the_phases_and_its_own_epsilon_passes() -> None:
    config = load_config(preset="quickstart")
    health = _health(config)
    ends = health._expectation.phase_ends
    assert ends == tuple(round(0.024 * end) for end in PHASE_ENDS)
    for env_steps in range(3000, 100_000, 100):
        epsilon = max(0.05, 1.0 - 0.95 * env_steps / 60_000)
        health.judge("epsilon", Point(env_steps // 85, env_steps, 0.0, epsilon))
        assert health.checks["epsilon"].state in ("unknown", "ok")


def test_an_expectation_can_be_set_and_left_out() -> None:
    chosen = {"q_expected": None, "reward_expected": None, "q_floor": -40.0}
    config = Config.model_validate({"health": chosen})
    health = _health(config)
    assert {"reward", "finishes"}.isdisjoint(health.checks)
    for _ in range(3):
        health.judge("q_mean", Point(LATE, 10, 0.0, -30.0))
    assert health.checks["q_value"].state == "ok"
    for _ in range(3):
        health.judge("q_mean", Point(LATE, 10, 0.0, -50.0))
    assert health.checks["q_value"].state == "red"


def test_noise_does_not_fall_and_a_fall_does() -> None:
    rng = np.random.default_rng(3)
    level = [relative_fall(100 + 40 * rng.standard_normal(500)) for _ in range(200)]
    assert np.mean(np.array(level) > 0.0) < 0.05
    assert max(level) < 0.1
    falling = np.linspace(120, 60, 500) + 40 * rng.standard_normal(500)
    assert 0.3 < relative_fall(falling) < 0.6
