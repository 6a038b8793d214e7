"""A patient actor drives as far as the limiter's state allows, and never into a deadlock."""

import pytest

from actors.insert_budget import RENEWAL_S, InsertBudget
from common.segment import MAX_FRAMES
from replay_server.rate_limiter import LimiterState, RateLimiter


def state(inserted: int, max_inserted: int, *, may_insert: bool = True) -> LimiterState:
    return LimiterState(
        inserted, 0, 32.0, may_sample=True, may_insert=may_insert, max_inserted=max_inserted
    )


def spent(budget: InsertBudget) -> int:
    steps = 0
    while budget.take():
        steps += 1
    return steps


@pytest.mark.parametrize(("count", "steps"), [(1, 95), (4, 24), (200, 1)])
def test_the_room_is_shared(count: int, steps: int) -> None:
    budget = InsertBudget(count)
    budget.see(state(0, 95), now_s=0.0)
    assert spent(budget) == steps


def test_nothing_is_free_before_the_service_or_when_it_says_stop() -> None:
    budget = InsertBudget(1)
    budget.see(None, now_s=0.0)
    assert spent(budget) == 0
    budget.see(state(0, 95), now_s=0.1)
    budget.see(state(96, 95, may_insert=False), now_s=0.2)
    assert spent(budget) == 0


def test_the_same_state_buys_again_only_after_a_while() -> None:
    budget = InsertBudget(1)
    budget.see(state(0, 10), now_s=0.0)
    assert spent(budget) == 10
    budget.see(state(0, 10), now_s=RENEWAL_S / 2)
    assert spent(budget) == 0
    budget.see(state(0, 10), now_s=RENEWAL_S)
    assert spent(budget) == 10


def test_little_is_driven_while_a_service_that_hangs_publishes_nothing_new() -> None:
    budget = InsertBudget(2)
    stuck = state(1100, 3300)
    driven = 0
    for tick in range(500):
        budget.see(stuck, now_s=0.02 * tick)
        driven += spent(budget)
    assert 1100 + MAX_FRAMES <= driven <= 1100 + 10 * MAX_FRAMES


def test_an_actor_with_little_room_still_fills_its_segment() -> None:
    budget = InsertBudget(200)
    stuck = state(0, 95)
    driven = 0
    for tick in range(3000):
        budget.see(stuck, now_s=0.02 * tick)
        driven += spent(budget)
    assert driven >= MAX_FRAMES


def test_a_new_maximum_buys_at_once() -> None:
    budget = InsertBudget(1)
    budget.see(state(0, 100), now_s=0.0)
    assert spent(budget) == 100
    budget.see(state(59, 110), now_s=0.001)
    assert spent(budget) == 51


def test_what_was_bought_is_not_bought_again_when_it_is_counted() -> None:
    budget = InsertBudget(1)
    budget.see(state(0, 3300), now_s=0.0)
    assert spent(budget) == 3300
    for tick in range(1, 50):
        budget.see(state(59 * tick, 3300), now_s=0.001 * tick)
        assert spent(budget) == 0


def test_a_slow_start_loses_nothing_of_what_was_bought() -> None:
    budget = InsertBudget(2)
    for tick in range(100):
        budget.see(state(0, 3300), now_s=0.02 * tick)
    assert spent(budget) == 1650


def test_the_share_of_a_lost_actor_is_driven_by_the_others() -> None:
    budget = InsertBudget(2)
    driven = 0
    for tick in range(500):
        now_s = 0.02 * tick
        budget.see(state(driven, 3300, may_insert=driven < 3300), now_s=now_s)
        driven += spent(budget)
    assert 3300 <= driven < 3300 + MAX_FRAMES


def test_a_state_without_a_maximum_does_not_hold_anyone_back() -> None:
    budget = InsertBudget(1)
    budget.see(state(0, 0), now_s=0.0)
    assert all(budget.take() for _ in range(10_000))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 8.0, 32.0])
def test_the_maximum_is_where_inserting_ends(ratio: float) -> None:
    limiter = RateLimiter(
        samples_per_insert=ratio, min_size_to_sample=32, error_buffer=100.0, capacity=1000
    )
    for sampled in (0, 1, 64, 1000):
        most = limiter.state(inserted=0, sampled=sampled, count=32).max_inserted
        assert limiter.may_insert(inserted=most - 1, sampled=sampled)
        assert not limiter.may_insert(inserted=most, sampled=sampled)
