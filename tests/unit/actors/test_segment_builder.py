"""The segment builder on episodes small enough to work out by hand."""

import numpy as np
import pytest

from actors.game_contract import Observation
from actors.segment_builder import SegmentBuilder
from common.game_spec import GameSpec
from common.segment import Segment, max_steps


def spec(history: int) -> GameSpec:
    return GameSpec(history, 1, 1, 1, 3, (1.0,))


def observation(*pixels: int) -> Observation:
    image = np.array(pixels, dtype=np.uint8).reshape(-1, 1, 1)
    return {"image": image, "features": np.array([pixels[-1]], dtype=np.float32)}


def push(builder: SegmentBuilder, step: int, history: int, **end: object) -> list[Segment]:
    """Env step number ``step`` shows the picture step + 1 and pays 10 times that."""
    pixels = [max(0, step + 1 - back) for back in reversed(range(history))]
    info = {key: value for key, value in end.items() if key not in {"terminated", "truncated"}}
    return builder.push(
        step % 3,
        10.0 * (step + 1),
        observation(*pixels),
        terminated=bool(end.get("terminated")),
        truncated=bool(end.get("truncated")),
        info=info,
    )


def builder_of(history: int, n_step: int) -> SegmentBuilder:
    builder = SegmentBuilder(actor="pc-1", spec=spec(history), n_step=n_step, contract="abc")
    builder.driven_by(param_version=1500, epsilon=0.25)
    builder.start(observation(*[0] * history))
    return builder


def test_three_steps_to_the_finish() -> None:
    builder = builder_of(history=2, n_step=1)
    assert push(builder, 0, 2, progress_m=4.0) == []
    assert push(builder, 1, 2, progress_m=9.0) == []
    (segment,) = push(
        builder, 2, 2, terminated=True, finished=True, lap_time_ms=150.0, progress_m=8.0
    )
    # look-back 0, the reset's picture 0, then one picture a step
    assert segment.frames[:, 0, 0].tolist() == [0, 0, 1, 2, 3]
    assert segment.meta.actions.tolist() == [0, 1, 2]
    assert segment.meta.rewards.tolist() == [10.0, 20.0, 30.0]
    assert segment.meta.features[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert (segment.meta.transitions, segment.meta.terminated) == (3, True)
    assert (segment.meta.param_version, segment.meta.epsilon) == (1500, 0.25)
    end = segment.meta.end
    assert end is not None
    assert (end.episode_return, end.steps, end.reason) == (60.0, 3, "finish")
    assert (end.finish_ms, end.progress_m, end.action_counts) == (150.0, 9.0, (1, 1, 1))


def test_the_next_segment_begins_at_the_first_step_without_a_transition() -> None:
    history, n_step = 4, 3
    full = max_steps(history)
    builder = builder_of(history, n_step)
    for step in range(full):
        assert push(builder, step, history) == []
    (first,) = push(builder, full, history)
    assert (first.meta.steps, len(first.frames), first.meta.transitions) == (59, 63, 57)
    (second,) = push(builder, full + 1, history, truncated=True)
    # steps 57 and 58 come again, 59 and 60 are new; their look-back starts at picture 54
    assert second.meta.first_step == 57
    assert second.meta.rewards.tolist() == [580.0, 590.0, 600.0, 610.0]
    assert second.frames[:, 0, 0].tolist() == [54, 55, 56, 57, 58, 59, 60, 61]
    assert second.meta.transitions == 4
    assert second.meta.end is not None
    assert second.meta.end.steps == 61
    assert second.meta.end.reason == "time_limit"


def test_an_episode_that_ends_right_after_a_full_segment_hands_out_both() -> None:
    builder = builder_of(history=1, n_step=1)
    full = max_steps(1)
    for step in range(full):
        assert push(builder, step, 1) == []
    first, last = push(builder, full, 1, terminated=True)
    assert (first.meta.steps, first.meta.ended) == (full, False)
    assert (last.meta.steps, last.meta.terminated) == (1, True)


def test_an_episode_that_ends_with_a_full_segment_hands_out_one() -> None:
    builder = builder_of(history=1, n_step=1)
    full = max_steps(1)
    for step in range(full - 1):
        push(builder, step, 1)
    (only,) = push(builder, full - 1, 1, terminated=True)
    assert (only.meta.steps, only.meta.terminated) == (full, True)


def test_a_fault_closes_the_episode_as_truncated() -> None:
    builder = builder_of(history=1, n_step=1)
    for step in range(max_steps(1)):
        push(builder, step, 1)
    segment = builder.close("fault")
    assert segment is not None
    assert segment.meta.truncated
    assert not segment.meta.terminated
    assert segment.meta.end is not None
    assert (segment.meta.end.reason, segment.meta.end.finish_ms) == ("fault", None)


def test_an_episode_without_a_step_leaves_nothing_to_close() -> None:
    builder = builder_of(history=1, n_step=1)
    assert builder.close("fault") is None
    builder.start(observation(0))
    assert builder.episode == 1


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ({"terminated": True, "end_reason": "stuck"}, "stuck"),
        ({"terminated": True, "finished": True, "lap_time_ms": 1.0}, "finish"),
        ({"terminated": True}, "terminated"),
        ({"truncated": True}, "time_limit"),
    ],
)
def test_the_reason_is_the_game_s_word_or_a_plain_one(end: dict[str, object], reason: str) -> None:
    builder = builder_of(history=1, n_step=1)
    (segment,) = push(builder, 0, 1, **end)
    assert segment.meta.end is not None
    assert segment.meta.end.reason == reason


def test_segments_keep_their_own_pixels() -> None:
    """A game may reuse its buffers; the segment must not change with them."""
    builder = SegmentBuilder(actor="a", spec=spec(1), n_step=1, contract="abc")
    shown = observation(7)
    builder.start(shown)
    shown["image"][:] = 8
    (segment,) = builder.push(0, 1.0, shown, terminated=True, truncated=False, info={})
    assert segment.frames[:, 0, 0].tolist() == [7, 8]
