"""A learner that was stopped and started again goes on to exactly the same next step."""

from pathlib import Path

import numpy as np
import pytest
import redis
import torch

from common.config import Config
from common.keys import Keys
from learner.checkpoint import Checkpoint, load_checkpoint
from tests.support.learner_inputs import small_config
from tests.support.learner_rig import LearnerRun, make_run

pytestmark = pytest.mark.redis

EPISODES = 12
STEPS = 70
IDS = EPISODES * STEPS


def learned(
    connection: redis.Redis, run: LearnerRun, stops: list[int], run_dir: Path
) -> Checkpoint:
    """Learns to each stop in turn, with a new learner and a new replay service every time."""
    for stop in stops:
        # Only the checkpoint may bring the priorities back, not the service's own snapshot.
        connection.delete(run.keys.priorities)
        with run.serving(expected_ids=IDS):
            run.learn(stop, run_dir=run_dir)
    return load_checkpoint(run_dir / "checkpoints" / "latest")


def require_equal(a: Checkpoint, b: Checkpoint) -> None:
    for part in ("online", "target", "optimizer", "generators"):
        ours, theirs = getattr(a.learner, part), getattr(b.learner, part)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), f"{part}: {name}"
    assert a.progress == b.progress
    assert a.sampler == b.sampler
    assert a.replay_service == b.replay_service


CONFIGS = {
    "proven": small_config(target={"period_learner_steps": 25}),
    "cosine, soft, 3 steps, bfloat16": small_config(
        target={"rule": "soft"},
        learning_rate={"schedule": "cosine", "cosine_episodes": 20},
        n_step=3,
        precision="bfloat16",
    ),
    "uniform": Config.model_validate(
        {**small_config().model_dump(), "replay": {"prioritized": False}}
    ),
    "a window that is full": Config.model_validate(
        {**small_config().model_dump(), "replay": {"capacity": 500}}
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_thirty_and_thirty_steps_equal_sixty(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path, config: Config
) -> None:
    straight = make_run(redis_url, keys, tmp_path, config)
    straight.drive(episodes=EPISODES, steps=STEPS)
    expected = learned(connection, straight, [60], tmp_path / "straight")
    again = make_run(redis_url, Keys(f"{keys.run}-again"), tmp_path, config)
    again.drive(episodes=EPISODES, steps=STEPS)
    resumed = learned(connection, again, [30, 60], tmp_path / "resumed")
    assert expected.progress.learner_steps == 60
    assert expected.progress.env_steps == IDS
    assert expected.progress.episodes == EPISODES
    require_equal(expected, resumed)


def test_another_seed_learns_something_else(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    weights = []
    for seed in (0, 1):
        config = small_config().model_copy(update={"seed": seed})
        run = make_run(redis_url, Keys(f"{keys.run}-{seed}"), tmp_path, config)
        run.drive(episodes=EPISODES, steps=STEPS)
        learner = learned(connection, run, [10], tmp_path / str(seed)).learner
        weights.append(np.concatenate([t.float().flatten() for t in learner.online.values()]))
    assert not np.allclose(*weights)
