"""Segments with contents that tell which ones they are."""

from dataclasses import replace

import numpy as np

from common.config import Config
from common.contract import Contract, fingerprint, make_contract
from common.game_spec import GameSpec
from common.segment import EpisodeEnd, Segment, SegmentMeta

SMALL = GameSpec(
    history=4,
    frame_height=4,
    frame_width=4,
    n_features=3,
    n_actions=11,
    feature_scale=(1000.0, 10.0, 10000.0),
)
FULL = replace(SMALL, frame_height=64, frame_width=64)


def small_contract() -> Contract:
    """Returns a contract that does not change when somebody edits the code under a running test."""
    unsealed = replace(make_contract(Config(), SMALL), code_version="0" * 64)
    return replace(unsealed, fingerprint=fingerprint(unsealed.terms()))


def make_segment(
    *,
    contract: str = "none",
    spec: GameSpec = SMALL,
    actor: str = "a1",
    epoch: int = 0,
    seq: int = 0,
    steps: int = 59,
    episode: int = 0,
    first_step: int = 0,
    end: bool = False,
    n_step: int = 1,
    priorities: bool = False,
    tag: int = 0,
) -> Segment:
    """Returns a valid segment; ``tag`` seeds its contents and is its first reward."""
    rng = np.random.default_rng(tag)
    rewards = rng.normal(size=steps).astype(np.float32)
    rewards[0] = tag
    summary = EpisodeEnd(
        episode_return=float(rewards.sum()),
        steps=first_step + steps,
        reason="time_limit",
        finish_ms=None,
        progress_m=12.5,
        action_counts=tuple(range(spec.n_actions)),
        ended_at=1.0,
    )
    meta = SegmentMeta(
        actor=actor,
        epoch=epoch,
        seq=seq,
        episode=episode,
        first_step=first_step,
        param_version=-1,
        epsilon=1.0,
        n_step=n_step,
        contract=contract,
        terminated=False,
        truncated=end,
        actions=rng.integers(spec.n_actions, size=steps, dtype=np.uint8),
        rewards=rewards,
        features=rng.normal(size=(steps + 1, spec.n_features)).astype(np.float32),
        priorities=None,
        end=summary if end else None,
    )
    if priorities:
        values = rng.uniform(0.1, 3.0, size=meta.transitions).astype(np.float32)
        meta = replace(meta, priorities=values)
    shape = (steps + spec.history, spec.frame_height, spec.frame_width)
    return Segment(meta, rng.integers(256, size=shape, dtype=np.uint8))


def tag_of(segment: Segment) -> int:
    """Returns the tag that ``make_segment`` hid in the first reward."""
    return int(segment.meta.rewards[0])
