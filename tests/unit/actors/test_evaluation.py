"""Greedy laps: the figures by hand, and laps that can be driven again exactly."""

import json
import threading

import numpy as np
import pytest

from actors.evaluation import Attempt, EvaluationReport, Lap, evaluate, lap_seeds
from actors.game_contract import Game
from actors.games import game_spec, make_game
from actors.policy import Policy
from common.config import Config, NetworkConfig
from common.game_config import GameConfig
from common.network import network_for


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
    assert values["return_mean"] == 41.0
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


def small(game: GameConfig) -> Config:
    return Config(game=game, network=NetworkConfig(feature_hidden=16, hidden=16))


def test_laps_in_the_simulation_are_driven_again_exactly() -> None:
    config = small(GameConfig(max_episode_steps=120))
    policy = greedy_policy(config)

    def make() -> Game:
        return make_game(config.game, training=False, seed=None, evaluation_jitter=0.5)

    report = evaluate(policy, make, episodes=3, seed=11)
    again = evaluate(policy, make, episodes=3, seed=11)
    assert report is not None
    assert report == again
    assert report.param_version == 12
    assert len({one.seed for one in report.laps}) == 3
    best = report.best_lap
    env = make()
    attempt = Attempt(env, seed=best.seed)
    for action in best.actions:
        attempt.step(action)
    assert attempt.lap() == best
    env.close()


def test_a_plugin_is_evaluated_too() -> None:
    game = GameConfig(name="tests.support.tiny_games:corridor", max_episode_steps=30)
    config = small(game)
    report = evaluate(
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
    assert (
        evaluate(
            greedy_policy(small(game)),
            lambda: make_game(game, training=False, seed=None),
            episodes=2,
            seed=0,
            stop=stop,
        )
        is None
    )
