import subprocess
import sys

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from replay_server.sum_tree import COMPILED, SumTree

BACKENDS = [False, pytest.param(True, marks=pytest.mark.skipif(not COMPILED, reason="no numba"))]
values = st.floats(0.0, 1e3, allow_nan=False, width=32)


class AgainstBruteForce(RuleBasedStateMachine):
    """Both backends against a list of leaf values."""

    @initialize(capacity=st.integers(1, 70))
    def start(self, capacity: int) -> None:
        self.leaves = np.zeros(capacity)
        self.trees = [SumTree(capacity, compiled=compiled) for compiled in {False, COMPILED}]

    @rule(data=st.data())
    def assign(self, data: st.DataObject) -> None:
        index = st.integers(0, len(self.leaves) - 1)
        pairs = data.draw(st.lists(st.tuples(index, values), max_size=20))
        leaves = np.array([leaf for leaf, _ in pairs], np.int64)
        new = np.array([value for _, value in pairs], np.float64)
        for leaf, value in pairs:
            self.leaves[leaf] = value
        for tree in self.trees:
            tree.assign(leaves, new)

    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        size = len(self.leaves)
        self.leaves = np.array(data.draw(st.lists(values, min_size=size, max_size=size)))
        for tree in self.trees:
            tree.replace(self.leaves)

    @rule(uniforms=st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=40))
    def draw(self, uniforms: list[float]) -> None:
        if self.leaves.sum() == 0.0:
            return
        drawn = [tree.draw(np.array(uniforms)) for tree in self.trees]
        assert all((leaves == drawn[0]).all() for leaves in drawn)
        assert (self.leaves[drawn[0]] > 0.0).all()
        upper = np.cumsum(self.leaves)
        targets = (np.arange(len(uniforms)) + uniforms) * (self.trees[0].total / len(uniforms))
        slack = 1e-9 * upper[-1]
        assert (targets <= upper[drawn[0]] + slack).all()
        assert (targets >= (upper - self.leaves)[drawn[0]] - slack).all()

    @invariant()
    def agrees(self) -> None:
        for tree in self.trees:
            tree.check_valid()
            assert (tree.leaves == self.leaves).all()
            assert tree.total == pytest.approx(self.leaves.sum(), rel=1e-12)


TestAgainstBruteForce = AgainstBruteForce.TestCase
TestAgainstBruteForce.settings = settings(max_examples=60, stateful_step_count=20)


@pytest.mark.parametrize("compiled", BACKENDS)
@pytest.mark.parametrize("capacity", [1000, 1001, 1023])
def test_draws_in_proportion_to_the_values(*, compiled: bool, capacity: int) -> None:
    rng = np.random.default_rng(0)
    leaves = rng.uniform(0.1, 3.0, capacity) ** 0.6
    tree = SumTree(capacity, compiled=compiled)
    tree.replace(leaves)
    # Draws of one stratum each must scatter as a multinomial does.
    draws = 100_000
    single = np.concatenate([tree.draw(rng.random(1)) for _ in range(draws // 20)])
    drawn = np.concatenate([tree.draw(rng.random(32)) for _ in range(draws // 32)])
    for sample in (drawn, single):
        expected = leaves / leaves.sum() * len(sample)
        counts = np.bincount(sample, minlength=capacity)
        chi2 = ((counts - expected) ** 2 / expected).sum() / (capacity - 1)
        assert 0.6 <= chi2 <= 1.3


@pytest.mark.parametrize("compiled", BACKENDS)
def test_sums_do_not_drift(*, compiled: bool) -> None:
    rng = np.random.default_rng(1)
    tree = SumTree(777, compiled=compiled)
    for _ in range(2000):
        tree.assign(rng.integers(777, size=32), rng.uniform(0, 1e6, 32))
    fresh = SumTree(777, compiled=compiled)
    fresh.replace(tree.leaves.copy())
    assert tree.total == fresh.total


def test_an_empty_tree_draws_nothing() -> None:
    with pytest.raises(AssertionError):
        SumTree(4).draw(np.zeros(1))


@pytest.mark.skipif(not COMPILED, reason="no numba")
def test_a_new_tree_is_compiled_already() -> None:
    # A process of its own: in this one other tests have compiled long ago.
    report = "from replay_server import sum_tree as s; s.SumTree(8); "
    report += "print(len(s._assign_compiled.signatures), len(s._draw_compiled.signatures))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1"]
