"""The run that a bench pretends: the proven game's shapes, and a replay small enough for any machine."""

from common.config import Config, ReplayConfig
from common.contract import Contract, make_contract
from common.game_spec import GameSpec

RUN = "fleet-bench"
CAPACITY = 40_000
"""Transitions kept; twice as many are in the log at most, so Redis needs about 0.4 GB."""
FRAME_SIDE = 64
STEPS = 59
"""Env steps of one segment: with its history 63 frames, the most that a segment holds."""
EPISODE_SEGMENTS = 10
"""Segments of one episode: 590 env steps, half a minute at 20 a second."""


def bench_contract() -> Contract:
    """Returns the contract that every process of the bench finds in Redis."""
    config = Config(replay=ReplayConfig(capacity=CAPACITY, samples_per_insert=1e-3))
    spec = GameSpec(
        history=4,
        frame_height=FRAME_SIDE,
        frame_width=FRAME_SIDE,
        n_features=3,
        n_actions=len(config.game.actions),
        feature_scale=(1000.0, 10.0, 10000.0),
    )
    return make_contract(config, spec)
