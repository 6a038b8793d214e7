"""Greedy laps: the figures by hand, and laps that can be driven again exactly."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from actors.evaluation import Attempt, evaluate, lap_seeds
from actors.evaluation_report import EvaluationReport, Lap
from actors.game_contract import Game, GameFaultError, GameNotReadyError, Observation
from actors.game_link import GameLink
from actors.games import game_spec, make_game
from actors.policy import Policy
from common.config import Config, NetworkConfig
from common.errors import MachineError, UnreachableError
from common.game_config import GameConfig
from common.network import network_for
from tests.support.tiny_games import Corridor


def lap(time_ms: float | None, episode_return: float, seed: int = 0) -> Lap:
    return Lap(
        seed=seed,
        actions=(1, 2),
        finished=time_ms is not None,
        lap_time_ms=time_ms,
        split_times_ms=(),
        episode_return=episode_return,
        reason="finish" if time_ms is not None else "stuck",
        progress_m=100.0,
    )


def test_figures_of_three_laps() -> None:
    report = EvaluationReport(1500, (lap(30_000.0, 50.0), lap(None, 20.0), lap(34_000.0, 53.0, 7)))
    values = report.to_dict()
    assert (report.episodes, report.finishes) == (3, 2)
    assert report.finish_rate == pytest.approx(2 / 3)
    assert values["lap_times_ms"] == [30_000.0, 34_000.0]
    assert (values["lap_mean_ms"], values["lap_median_ms"]) == (32_000.0, 32_000.0)
    assert (values["lap_best_ms"], values["lap_std_ms"]) == (30_000.0, 2_000.0)
    assert (values["lap_worst_ms"], values["lap_spread_ms"]) == (34_000.0, 4_000.0)
    assert values["return_mean"] == 41.0
    assert values["end_reasons"] == {"finish": 2, "stuck": 1}
    assert values["progress_furthest_m"] == 100.0
    assert values["return_std"] == pytest.approx(((9**2 + 21**2 + 12**2) / 3) ** 0.5)
    assert report.best_lap.lap_time_ms == 30_000.0
    assert json.loads(json.dumps(values)) == values


def test_without_a_finish_the_largest_return_is_best() -> None:
    report = EvaluationReport(0, (lap(None, 1.0), lap(None, 3.0, seed=4), lap(None, 2.0)))
    assert report.best_lap.seed == 4
    assert report.to_dict()["lap_best_ms"] is None
    assert report.score == (0.0, 2.0)


def test_scores_rank_finishes_before_times() -> None:
    often_slow = EvaluationReport(0, (lap(40_000.0, 1.0), lap(40_000.0, 1.0)))
    often_fast = EvaluationReport(0, (lap(30_000.0, 1.0), lap(30_000.0, 1.0)))
    once = EvaluationReport(0, (lap(20_000.0, 1.0), lap(None, 1.0)))
    never = EvaluationReport(0, (lap(None, 99.0),))
    assert never.score < once.score < often_slow.score < often_fast.score


def test_a_longer_evaluation_begins_with_the_same_starts() -> None:
    assert lap_seeds(3, 10)[:4] == lap_seeds(3, 4)
    assert len(set(lap_seeds(3, 10))) == 10


def greedy_policy(config: Config) -> Policy:
    env = make_game(config.game, training=False, seed=None)
    spec = game_spec(env, config.game)
    policy = Policy(network_for(spec, config), spec, config.exploration, np.random.default_rng(0))
    policy.install(param_version=12)
    return policy


def evaluated(
    policy: Policy,
    make: Callable[[], Game],
    *,
    episodes: int,
    seed: int = 0,
    stop: threading.Event | None = None,
    patience_s: float | None = None,
) -> EvaluationReport | None:
    link = GameLink(
        make, stop=stop or threading.Event(), first_pause_s=0.001, patience_s=patience_s
    )
    try:
        return evaluate(policy, link, episodes=episodes, seed=seed)
    finally:
        link.close()


def small(game: GameConfig) -> Config:
    return Config(game=game, network=NetworkConfig(feature_hidden=16, hidden=16))


def test_laps_in_the_simulation_are_driven_again_exactly() -> None:
    config = small(GameConfig(max_episode_steps=120))
    policy = greedy_policy(config)

    def make() -> Game:
        return make_game(config.game, training=False, seed=None, evaluation_jitter=0.5)

    report = evaluated(policy, make, episodes=3, seed=11)
    again = evaluated(policy, make, episodes=3, seed=11)
    assert report is not None
    assert report == again
    assert report.param_version == 12
    assert len({one.seed for one in report.laps}) == 3
    best = report.best_lap
    env = make()
    attempt = Attempt(env, env.reset(seed=best.seed), seed=best.seed)
    for action in best.actions:
        attempt.step(action)
    assert attempt.lap() == best
    env.close()


def test_a_plugin_is_evaluated_too() -> None:
    game = GameConfig(name="tests.support.tiny_games:corridor", max_episode_steps=30)
    config = small(game)
    report = evaluated(
        greedy_policy(config),
        lambda: make_game(game, training=False, seed=None),
        episodes=2,
        seed=0,
    )
    assert report is not None
    assert report.laps[0].reason in {"finish", "time_limit"}
    assert all(len(one.actions) <= 30 for one in report.laps)


def test_a_stopped_evaluation_reports_nothing() -> None:
    game = GameConfig(name="tests.support.tiny_games:corridor")
    stop = threading.Event()
    stop.set()

    def make() -> Game:
        return make_game(game, training=False, seed=None)

    assert evaluated(greedy_policy(small(game)), make, episodes=2, seed=0, stop=stop) is None


class Breaking(Corridor):
    """A corridor that mends itself: some resets are refused, and some steps find it broken."""

    def __init__(self, *, refusals: int = 0, breaks: int = 0) -> None:
        super().__init__(length=5, stuck_after=8)
        self.refusals = refusals
        self.breaks = breaks

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        if self.refusals > 0:
            self.refusals -= 1
            raise GameNotReadyError("not_on_map")
        return super().reset(**how)

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.breaks > 0 and self.steps == 3:
            self.breaks -= 1
            self.refusals = 2
            raise GameFaultError("telemetry_stalled", "for 0.8 s")
        return super().step(action)


CORRIDOR = GameConfig(name="tests.support.tiny_games:corridor")


def test_an_attempt_that_the_game_broke_is_driven_again() -> None:
    policy = greedy_policy(small(CORRIDOR))
    whole = evaluated(policy, Breaking, episodes=3)
    broken = evaluated(policy, lambda: Breaking(refusals=1, breaks=4), episodes=3)
    assert whole is not None
    assert broken is not None
    assert broken.laps == whole.laps
    assert whole.to_dict()["faults"] == {}
    assert broken.to_dict()["faults"] == {"telemetry_stalled": 4}


def test_a_game_that_breaks_for_ever_is_given_up() -> None:
    with pytest.raises(MachineError, match="telemetry_stalled"):
        evaluated(greedy_policy(small(CORRIDOR)), lambda: Breaking(breaks=10**6), episodes=1)


def test_a_game_that_never_gets_ready_is_given_up_with_its_fix() -> None:
    def make() -> Game:
        return Breaking(refusals=10**6)

    with pytest.raises(UnreachableError, match="Load the map and start it"):
        evaluated(greedy_policy(small(CORRIDOR)), make, episodes=1, patience_s=0.2)


class Timed(Corridor):
    """Notes in which order it and the policy are asked."""

    def __init__(self) -> None:
        super().__init__(length=5, stuck_after=8)
        self.asked: list[str] = []

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        self.asked.append("reset")
        return super().reset(**how)


def test_the_policy_is_warm_before_the_game_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    env, policy = Timed(), greedy_policy(small(CORRIDOR))
    greedy = policy.greedy

    def noted(observation: Observation) -> tuple[int, Any]:
        env.asked.append("greedy")
        return greedy(observation)

    monkeypatch.setattr(policy, "greedy", noted)
    evaluated(policy, lambda: env, episodes=1)
    assert env.asked[:3] == ["greedy", "reset", "greedy"]


def test_best_splits_come_from_any_attempt() -> None:
    def split(*times_ms: float) -> Lap:
        return replace(lap(None, 1.0), split_times_ms=times_ms)

    report = EvaluationReport(0, (split(5.0, 11.0), split(6.0, 10.0, 15.0), split()))
    assert report.best_splits_ms == (5.0, 10.0, 15.0)
    assert EvaluationReport(0, (split(),)).best_splits_ms == ()
