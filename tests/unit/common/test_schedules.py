"""Schedules by hand: points of the proven run's curves, their ends and their edges."""

import pytest

from common.config import ExplorationConfig, LearningRateConfig, ReplayConfig
from common.schedules import actor_epsilon, beta, epsilon, learning_rate

EPISODES = ExplorationConfig(counted_in="episodes", epsilon_decay_episodes=400)


@pytest.mark.parametrize(
    ("config", "env_steps", "episodes", "expected"),
    [
        (ExplorationConfig(), 0, 10**6, "start"),
        (ExplorationConfig(), ExplorationConfig().epsilon_decay_to // 2, 0, "middle"),
        (ExplorationConfig(), ExplorationConfig().epsilon_decay_to, 0, "end"),
        (ExplorationConfig(), 24_999_999, 0, "end"),
        (ExplorationConfig(), 25_000_000, 0, "zero"),
        (EPISODES, 10**6, 0, "start"),
        (EPISODES, 0, 200, "middle"),
        (EPISODES, 0, 10**6, "end"),
        (EPISODES, 25_000_000, 0, "zero"),
    ],
)
def test_epsilon_falls_is_held_and_ends(
    config: ExplorationConfig, env_steps: int, episodes: int, expected: str
) -> None:
    start, end = config.epsilon_start, config.epsilon_end
    values = {"start": start, "middle": (start + end) / 2, "end": end, "zero": 0.0}
    found = epsilon(config, env_steps=env_steps, episodes=episodes)
    assert found == pytest.approx(values[expected], abs=1e-12)


def test_the_proven_cutoff_is_at_25_million_env_steps() -> None:
    assert ExplorationConfig().epsilon_cutoff == 25_000_000


@pytest.mark.parametrize(
    ("ladder", "index", "count", "expected"),
    [
        (0.0, 3, 4, 0.5),
        (7.0, 0, 1, 0.5),
        (7.0, 0, 8, 0.5),
        (7.0, 7, 8, 0.5**8),
        (7.0, 1, 8, 0.5**2),
        (1.0, 1, 3, 0.5**1.5),
    ],
)
def test_the_ladder_of_actors(ladder: float, index: int, count: int, expected: float) -> None:
    assert actor_epsilon(0.5, ladder=ladder, index=index, count=count) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("learner_steps", "expected"), [(0, 0.4), (100, 0.5), (600, 1.0), (10**9, 1.0)]
)
def test_beta_rises_to_its_cap(learner_steps: int, expected: float) -> None:
    config = ReplayConfig(beta_start=0.4, beta_increment=0.001)
    assert beta(config, learner_steps=learner_steps) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("schedule", "episodes", "expected"),
    [
        ("constant", 10**6, 1e-3),
        ("cosine", 0, 1e-3),
        ("cosine", 25, 1e-4 + 4.5e-4 * (1 + 2**-0.5)),
        ("cosine", 50, 5.5e-4),
        ("cosine", 100, 1e-4),
        ("cosine", 150, 1e-4),
    ],
)
def test_the_learning_rate(schedule: str, episodes: int, expected: float) -> None:
    config = LearningRateConfig.model_validate(
        {"schedule": schedule, "initial": 1e-3, "final": 1e-4, "cosine_episodes": 100}
    )
    assert learning_rate(config, episodes=episodes) == pytest.approx(expected)
