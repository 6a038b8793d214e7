"""The frame store gives back exactly what the game showed, whatever came, went and wrapped."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.game_spec import GameSpec
from common.segment import Segment
from learner.frame_store import FrameStore
from learner.n_step import n_step_rows
from tests.support.driving import Driver, SeenTransition

EPISODES = st.lists(
    st.tuples(
        st.integers(1, 150),  # env steps
        st.booleans(),  # terminated or truncated
        st.integers(0, 2),  # which actor
    ),
    min_size=1,
    max_size=12,
)


def drive(
    spec: GameSpec, episodes: list[tuple[int, bool, int]], n_step: int
) -> tuple[list[Segment], list[SeenTransition]]:
    """Drives the episodes on three actors; returns segments in log order and the transitions."""
    drivers = [Driver(spec, actor=f"a{i}", n_step=n_step, contract="c", seed=i) for i in range(3)]
    segments, seen = [], []
    for length, terminated, actor in episodes:
        new_segments, new_seen = drivers[actor].episode(length, terminated=terminated)
        segments += new_segments
        seen += new_seen
    return segments, seen


def check_rows(store: FrameStore, ids: np.ndarray, seen: list[SeenTransition]) -> None:
    batch = store.gather(ids, np.ones(len(ids), np.float32))
    for row, id_ in enumerate(ids):
        expected = seen[id_]
        np.testing.assert_array_equal(batch.images[row].numpy(), expected.stack)
        np.testing.assert_array_equal(batch.next_images[row].numpy(), expected.next_stack)
        np.testing.assert_array_equal(batch.features[row].numpy(), expected.features)
        np.testing.assert_array_equal(batch.next_features[row].numpy(), expected.next_features)
        assert int(batch.actions[row]) == expected.action
        np.testing.assert_allclose(float(batch.returns[row]), expected.n_step_return, atol=1e-5)
        np.testing.assert_allclose(float(batch.discounts[row]), expected.discount, rtol=1e-6)


def make_store(spec: GameSpec, *, capacity: int, n_step: int) -> FrameStore:
    return FrameStore(
        spec,
        capacity=capacity,
        n_step=n_step,
        discount=0.9,
        batch_size=8,
        device=torch.device("cpu"),
    )


@settings(max_examples=60)
@given(
    episodes=EPISODES,
    n_step=st.integers(1, 5),
    capacity=st.integers(60, 400),
    history=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_every_transition_equals_what_the_game_showed(
    episodes: list[tuple[int, bool, int]], n_step: int, capacity: int, history: int, seed: int
) -> None:
    spec = GameSpec(history, 3, 2, 2, 3, (1.0, 1.0))
    segments, seen = drive(spec, episodes, n_step)
    assert sum(segment.meta.transitions for segment in segments) == len(seen)
    store = make_store(spec, capacity=capacity, n_step=n_step)
    rng = np.random.default_rng(seed)
    for segment in segments:
        store.insert(store.high, segment)
        store.check_valid()
        check_rows(store, rng.integers(store.low, store.high, 8), seen)
    assert store.high == len(seen)
    edge = np.array([store.low, store.high - 1] * 4)
    check_rows(store, edge, seen)


@settings(max_examples=40)
@given(episodes=EPISODES, n_step=st.integers(1, 4), cut=st.floats(0, 1))
def test_a_store_rebuilt_from_the_log_has_the_same_window(
    episodes: list[tuple[int, bool, int]], n_step: int, cut: float
) -> None:
    """Only the log decides what the window holds, not where the ring wraps."""
    spec = GameSpec(4, 2, 2, 1, 3, (1.0,))
    segments, seen = drive(spec, episodes * 3, n_step)
    first = make_store(spec, capacity=130, n_step=n_step)
    until = int(cut * len(segments))
    starts = []
    for segment in segments[:until]:
        starts.append(first.high)
        first.insert(first.high, segment)
    read_from, low = first.read_from, first.low
    second = make_store(spec, capacity=130, n_step=n_step)
    second.start_at(read_from)
    for start, segment in zip(starts, segments, strict=False):
        if start >= read_from:
            second.insert(start, segment)
    second.forget_before(low)
    second.check_valid()
    assert (second.low, second.high, second.read_from) == (first.low, first.high, first.read_from)
    for segment in segments[until:]:
        for store in (first, second):
            store.insert(store.high, segment)
            store.check_valid()
        assert (first.low, first.high) == (second.low, second.high)
    ids = np.random.default_rng(0).integers(first.low, first.high, 8)
    for store in (first, second):
        check_rows(store, ids, seen)


@settings(max_examples=200)
@given(
    rewards=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=30),
    n_step=st.integers(1, 8),
    terminated=st.booleans(),
    discount=st.floats(0.5, 1.0),
)
def test_n_step_returns_equal_the_recursion(
    rewards: list[float],
    n_step: int,
    terminated: bool,  # noqa: FBT001
    discount: float,
) -> None:
    """G_n(t) = r + gamma G_{n-1}(t + 1), and nothing beyond the end."""

    def recursion(at: int, n: int) -> tuple[float, float, int]:
        if at == len(rewards):
            return 0.0, 0.0 if terminated else 1.0, 0
        if n == 0:
            return 0.0, 1.0, 0
        value, bootstrap, span = recursion(at + 1, n - 1)
        return rewards[at] + discount * value, discount * bootstrap, span + 1

    rows = n_step_rows(
        np.array(rewards, np.float32),
        transitions=len(rewards),
        n_step=n_step,
        discount=discount,
        terminated=terminated,
    )
    for at in range(len(rewards)):
        value, bootstrap, span = recursion(at, n_step)
        np.testing.assert_allclose(rows.returns[at], value, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(rows.discounts[at], bootstrap, rtol=1e-5)
        assert rows.span[at] == span
