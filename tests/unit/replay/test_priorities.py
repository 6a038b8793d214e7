import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_server.priorities import Priorities, importance_weights


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_new_transitions_get_the_largest_priority_seen() -> None:
    priorities = Priorities(8, alpha=1.0)
    priorities.append(2, None)
    priorities.update(ids(0), floats(5.0))
    priorities.append(1, None)
    assert priorities.window_values().tolist() == [5.0, 1.0, 5.0]


def test_priorities_of_the_actor_count_from_the_start() -> None:
    priorities = Priorities(8, alpha=0.5)
    priorities.append(1, None)
    priorities.update(ids(0), floats(9.0))
    priorities.append(3, floats(4.0, 9.0, 0.0))
    values = priorities.window_values()
    assert values[1:3].tolist() == [2.0, 3.0]
    assert 0 < values[3] < 0.01


def test_no_actor_can_drown_the_others_in_its_priorities() -> None:
    priorities = Priorities(8, alpha=1.0)
    priorities.append(2, floats(3e38, 1e6))
    priorities.append(1, None)
    assert priorities.window_values().tolist() == [1.0, 1.0, 1.0]


def test_updates_of_evicted_unknown_and_broken_are_dropped() -> None:
    priorities = Priorities(4, alpha=1.0)
    priorities.append(4, None)
    priorities.append(2, None)
    assert (priorities.low, priorities.high) == (2, 6)
    dropped = priorities.update(ids(0, 1, 2, 3, 6, 99, -1), floats(7, 7, np.nan, 0.5, 7, 7, 7))
    assert dropped == 6
    assert priorities.window_values().tolist() == [1.0, 0.5, 1.0, 1.0]
    priorities.check_valid()


def test_an_invalid_transition_never_comes_back() -> None:
    priorities = Priorities(4, alpha=1.0)
    priorities.append(4, None)
    priorities.invalidate(ids(1, 2, 50))
    assert priorities.update(ids(1), floats(100.0)) == 1
    drawn, _ = priorities.sample(np.random.default_rng(0).random(1000))
    assert set(drawn) == {0, 3}


def test_a_segment_larger_than_the_window_keeps_its_newest_part() -> None:
    priorities = Priorities(3, alpha=1.0)
    priorities.append(1, None)
    priorities.update(ids(0), floats(9.0))
    priorities.append(7, floats(1, 2, 3, 4, 5, 6, 7))
    assert (priorities.low, priorities.high) == (5, 8)
    assert priorities.window_values().tolist() == [5.0, 6.0, 7.0]
    priorities.check_valid()


def test_alpha_zero_samples_uniformly() -> None:
    priorities = Priorities(4, alpha=0.0)
    priorities.append(2, floats(1.0, 1000.0))
    _, probabilities = priorities.sample(np.array([0.1, 0.9]))
    assert probabilities.tolist() == [0.5, 0.5]


def test_importance_weights_by_hand() -> None:
    weights = importance_weights(np.array([[0.1, 0.4], [0.25, 0.25]]), 0.5)
    assert weights.tolist() == [[1.0, pytest.approx(0.5)], [1.0, 1.0]]


@settings(max_examples=50)
@given(
    capacity=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(1, 25), st.integers(0, 30)), max_size=20),
)
def test_the_window_against_a_dictionary(capacity: int, steps: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    priorities = Priorities(capacity, alpha=1.0)
    model: dict[int, float] = {}
    for count, evicted in steps:
        new = rng.uniform(0.5, 2.0, count).astype(np.float32)
        known = np.minimum(new, np.float32(priorities.max_priority))
        model.update(zip(range(priorities.high, priorities.high + count), known, strict=True))
        priorities.append(count, new)
        low = max(priorities.high - capacity, priorities.low)
        touched = rng.integers(0, priorities.high + 3, 10)
        values = rng.uniform(0.5, 2.0, 10).astype(np.float32)
        priorities.update(touched, values)
        updates = zip(touched.tolist(), values, strict=True)
        model.update({each: new for each, new in updates if low <= each < priorities.high})
        low = max(low, min(priorities.high, low + evicted - 15))
        priorities.evict_below(low)
        model = {each: value for each, value in model.items() if each >= low}
        priorities.check_valid()
        assert priorities.window_values().tolist() == [model[each] for each in sorted(model)]
        if model:
            drawn, probabilities = priorities.sample(rng.random(8))
            assert set(drawn) <= model.keys()
            expected = np.array([model[each] for each in drawn]) / sum(map(float, model.values()))
            assert probabilities == pytest.approx(expected)
