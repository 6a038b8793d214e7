import numpy as np
import pytest

from replay_server.priority_shape import priority_shape


def test_equal_priorities_are_worth_all_of_the_replay_and_a_single_one_next_to_nothing() -> None:
    equal = priority_shape(np.full(1000, 0.3, np.float32))
    assert equal["priority_effective_share"] == pytest.approx(1.0)
    values = np.full(1000, 1e-6, np.float32)
    values[7] = 100.0
    assert priority_shape(values)["priority_effective_share"] == pytest.approx(1e-3, rel=1e-3)
    half = np.repeat(np.array([0.0, 2.0], np.float32), 500)
    assert priority_shape(half)["priority_effective_share"] == pytest.approx(0.5)


def test_the_histogram_counts_every_transition() -> None:
    values = np.random.default_rng(0).random(500).astype(np.float32)
    shape = priority_shape(values)
    counts, edges = shape["priority_histogram"], shape["priority_edges"]
    assert isinstance(counts, list)
    assert isinstance(edges, list)
    assert sum(counts) == 500
    assert len(edges) == len(counts) + 1
    assert edges == sorted(edges)


def test_an_empty_replay_has_no_share() -> None:
    assert priority_shape(np.zeros(0, np.float32))["priority_effective_share"] is None
