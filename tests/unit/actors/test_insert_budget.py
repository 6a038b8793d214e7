"""A patient actor drives as far as the limiter's state allows, and never into a deadlock."""

import pytest

from actors.insert_budget import RENEWAL_S, InsertBudget
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


def test_a_new_state_buys_at_once() -> None:
    budget = InsertBudget(1)
    budget.see(state(0, 100), now_s=0.0)
    assert spent(budget) == 100
    budget.see(state(59, 100), now_s=0.001)
    assert spent(budget) == 41


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
