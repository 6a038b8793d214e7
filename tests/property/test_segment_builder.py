"""Segments rebuild exactly what was driven: every env step once, every stack as it was seen."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.segment_builder import SegmentBuilder
from common.game_spec import GameSpec
from common.segment import MAX_FRAMES, Segment

SIDE = 2
N_FEATURES = 2
N_ACTIONS = 3


@dataclasses.dataclass(frozen=True)
class Step:
    stack: np.ndarray
    features: np.ndarray
    action: int
    reward: float
    next_stack: np.ndarray
    next_features: np.ndarray


def spec(history: int) -> GameSpec:
    return GameSpec(history, SIDE, SIDE, N_FEATURES, N_ACTIONS, (1.0,) * N_FEATURES)


def drive(
    history: int, n_step: int, lengths: list[int], endings: list[str], seed: int
) -> tuple[list[list[Step]], list[list[Segment]]]:
    """Drives episodes of random pictures; returns what was seen and what was handed out."""
    rng = np.random.default_rng(seed)
    builder = SegmentBuilder(actor="a", spec=spec(history), n_step=n_step, contract="c0ffee")
    driven, handed_out = [], []
    for length, ending in zip(lengths, endings, strict=True):
        stack = rng.integers(0, 256, (history, SIDE, SIDE), dtype=np.uint8)
        features = rng.normal(size=N_FEATURES).astype(np.float32)
        builder.start({"image": stack, "features": features})
        steps: list[Step] = []
        segments: list[Segment] = []
        for index in range(length):
            frame = rng.integers(0, 256, (1, SIDE, SIDE), dtype=np.uint8)
            next_stack = np.concatenate([stack[1:], frame])
            next_features = rng.normal(size=N_FEATURES).astype(np.float32)
            action, reward = int(rng.integers(N_ACTIONS)), float(rng.normal())
            last = index == length - 1
            steps.append(Step(stack, features, action, reward, next_stack, next_features))
            segments += builder.push(
                action,
                reward,
                {"image": next_stack, "features": next_features},
                terminated=last and ending == "terminated",
                truncated=last and ending == "truncated",
                info={"progress_m": float(index)},
            )
            stack, features = next_stack, next_features
        if ending == "fault":
            closing = builder.close("fault")
            assert closing is not None
            segments.append(closing)
        driven.append(steps)
        handed_out.append(segments)
    return driven, handed_out


def check_shapes(segment: Segment, history: int) -> None:
    meta = segment.meta
    assert meta.steps >= 1
    assert meta.transitions >= 1
    assert len(segment.frames) == meta.steps + history <= MAX_FRAMES
    assert segment.frames.dtype == np.uint8
    assert meta.features.shape == (meta.steps + 1, N_FEATURES)
    assert meta.rewards.shape == (meta.steps,)
    assert (meta.end is not None) == meta.ended


episodes = st.lists(
    st.tuples(st.integers(1, 190), st.sampled_from(["terminated", "truncated", "fault"])),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60)
@given(
    history=st.integers(1, 4),
    n_step=st.integers(1, 5),
    plan=episodes,
    seed=st.integers(0, 2**32 - 1),
)
def test_every_env_step_is_a_transition_exactly_once(
    history: int, n_step: int, plan: list[tuple[int, str]], seed: int
) -> None:
    lengths, endings = [length for length, _ in plan], [ending for _, ending in plan]
    driven, handed_out = drive(history, n_step, lengths, endings, seed)
    for number, (steps, segments, ending) in enumerate(
        zip(driven, handed_out, endings, strict=True)
    ):
        covered = 0
        for segment in segments:
            check_shapes(segment, history)
            meta = segment.meta
            assert meta.episode == number
            assert meta.first_step == covered
            for offset in range(meta.transitions):
                step = steps[covered + offset]
                stack = segment.frames[offset : offset + history]
                np.testing.assert_array_equal(stack, step.stack)
                np.testing.assert_array_equal(meta.features[offset], step.features)
                assert meta.actions[offset] == step.action
                horizon = min(n_step, len(steps) - covered - offset)
                available = meta.rewards[offset : offset + horizon]
                expected = [s.reward for s in steps[covered + offset :][:horizon]]
                np.testing.assert_allclose(available, np.float32(expected))
                after = offset + horizon
                last = steps[covered + offset + horizon - 1]
                np.testing.assert_array_equal(
                    segment.frames[after : after + history], last.next_stack
                )
                np.testing.assert_array_equal(meta.features[after], last.next_features)
            covered += meta.transitions
        assert covered == len(steps)
        assert [segment.meta.ended for segment in segments] == [False] * (len(segments) - 1) + [
            True
        ]
        end = segments[-1].meta.end
        assert end is not None
        assert end.steps == len(steps) == sum(end.action_counts)
        assert end.episode_return == sum(step.reward for step in steps)
        assert end.progress_m == len(steps) - 1
        assert segments[-1].meta.terminated == (ending == "terminated")
        assert segments[-1].meta.truncated == (ending != "terminated")
