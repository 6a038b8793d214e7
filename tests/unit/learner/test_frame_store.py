"""The frame store's window, its gaps and its memory."""

import numpy as np
import pytest
import torch

from common.game_spec import GameSpec
from learner.frame_store import FrameStore
from learner.ingest import ingest
from replay_server.log_reader import Indexed
from tests.support.driving import Driver

SPEC = GameSpec(4, 2, 2, 1, 3, (1.0,))


def make_store(capacity: int = 1000, **changes: object) -> FrameStore:
    arguments = {"n_step": 1, "discount": 0.9, "batch_size": 4, "device": torch.device("cpu")}
    return FrameStore(SPEC, capacity=capacity, **{**arguments, **changes})


def make_driver(**changes: object) -> Driver:
    return Driver(SPEC, **{"actor": "a", "n_step": 1, "contract": "c", "seed": 0, **changes})


def indexed(first_id: int, segment: object, problem: str | None = None, count: int = 0) -> Indexed:
    n = segment.meta.transitions if segment is not None else count
    return Indexed(first_id, n, "a", "1-1", segment, problem)


def test_the_proven_capacity_holds_100_000_transitions_in_half_a_gigabyte() -> None:
    spec = GameSpec(4, 64, 64, 3, 11, (1.0,) * 3)
    store = FrameStore(
        spec,
        capacity=100_000,
        n_step=1,
        discount=0.997,
        batch_size=32,
        device=torch.device("cpu"),
    )
    assert store.bytes_reserved <= 470_000_000


@pytest.mark.parametrize("length", [32, 59, 60, 300])
def test_episodes_down_to_32_steps_fill_the_capacity(length: int) -> None:
    store, driver = make_store(), make_driver()
    while store.high < 5000:
        for segment in driver.episode(length, terminated=True)[0]:
            store.insert(store.high, segment)
    store.check_valid()
    assert store.size == 1000


def test_shorter_episodes_shrink_the_window_and_break_nothing() -> None:
    store, driver = make_store(), make_driver()
    for _ in range(3000):
        for segment in driver.episode(1, terminated=True)[0]:
            store.insert(store.high, segment)
    store.check_valid()
    assert 200 < store.size < 1000


def test_a_damaged_segment_leaves_ids_that_are_not_held() -> None:
    store, driver = make_store(), make_driver()
    (segment,) = driver.episode(10, terminated=True)[0]
    ingest(store, indexed(0, segment))
    done = ingest(store, indexed(10, None, "crc", count=5))
    assert list(done.invalid_ids) == [10, 11, 12, 13, 14]
    (segment,) = driver.episode(10, terminated=True)[0]
    assert ingest(store, indexed(15, segment)).episode_ended
    store.check_valid()
    assert (store.low, store.high) == (0, 25)
    assert store.holds(np.array([9, 15]))
    assert not store.holds(np.array([9, 12]))
    assert not store.holds(np.array([25]))


def test_a_gap_in_the_log_leaves_ids_without_data() -> None:
    store, driver = make_store(), make_driver()
    (segment,) = driver.episode(10, terminated=True)[0]
    ingest(store, indexed(0, segment))
    done = ingest(store, indexed(500, segment))
    store.check_valid()
    assert done.invalid_ids == range(10, 500)
    assert done.episode_ended
    assert (store.low, store.high, store.read_from) == (0, 510, 0)
    assert store.holds(np.array([0, 9, 500, 509]))
    assert not store.holds(np.array([10]))


def test_a_gap_before_a_damaged_segment_is_one_range_with_it() -> None:
    store, driver = make_store(), make_driver()
    (segment,) = driver.episode(10, terminated=True)[0]
    ingest(store, indexed(0, segment))
    assert ingest(store, indexed(20, None, "crc", count=5)).invalid_ids == range(10, 25)
    store.check_valid()
    assert (store.low, store.high) == (0, 25)


def test_a_gap_wider_than_the_capacity_starts_the_window_anew() -> None:
    store, driver = make_store(), make_driver()
    (segment,) = driver.episode(10, terminated=True)[0]
    ingest(store, indexed(0, segment))
    assert ingest(store, indexed(1010, segment)).invalid_ids == range(0)
    store.check_valid()
    assert (store.low, store.high, store.read_from) == (1010, 1020, 1010)


def test_a_segment_read_twice_changes_nothing() -> None:
    store, driver = make_store(), make_driver()
    (segment,) = driver.episode(10, terminated=True)[0]
    assert ingest(store, indexed(0, segment)).episode_ended
    assert not ingest(store, indexed(0, segment)).episode_ended
    assert store.high == 10


def test_truncation_bootstraps_and_termination_does_not() -> None:
    for terminated, expected in ((True, 0.0), (False, 0.9)):
        store = make_store()
        (segment,) = make_driver().episode(6, terminated=terminated)[0]
        store.insert(0, segment)
        batch = store.gather(np.array([4, 5, 4, 5]), np.ones(4, np.float32))
        assert batch.discounts[0] == pytest.approx(0.9)
        assert float(batch.discounts[1]) == pytest.approx(expected)


def test_versions_are_those_that_drove() -> None:
    store, driver = make_store(), make_driver()
    driver.builder.driven_by(param_version=1500, epsilon=0.5)
    (segment,) = driver.episode(6, terminated=True)[0]
    store.insert(0, segment)
    assert store.versions(np.array([0, 5])).tolist() == [1500, 1500]
