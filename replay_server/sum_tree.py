"""A sum tree: draws leaves in proportion to their values in logarithmic time.

A heap of doubles whose every parent is recomputed from its children, never adjusted by a difference, so
that sums cannot drift and the same leaves always give the same tree. Numba compiles it once (cached on
disk); without numba the same arithmetic runs in numpy, some eight times slower.

Source:
    Schaul et al. (2016), Prioritized Experience Replay, appendix B.2.1.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

try:
    from numba import njit
except ImportError:  # numba lags behind new Python versions
    COMPILED = False
else:
    COMPILED = True


def _assign_numpy(nodes: Floats, leaves: Ints, values: Floats) -> None:
    """Sets leaves, the last of a repeated one winning, and recomputes every ancestor."""
    touched = leaves + len(nodes) // 2
    nodes[touched] = values
    while touched.size and touched[0] > 1:
        touched = np.unique(touched >> 1)
        nodes[touched] = nodes[2 * touched] + nodes[2 * touched + 1]


def _draw_numpy(nodes: Floats, uniforms: Floats) -> Ints:
    """Descends once for each stratum; an empty branch is never entered."""
    strata = len(uniforms)
    width = len(nodes) // 2
    targets = (np.arange(strata) + uniforms) * (nodes[1] / strata)
    node = np.ones(strata, np.int64)
    while node[0] < width:
        node *= 2
        left = nodes[node]
        right = (targets >= left) & (nodes[node + 1] > 0.0)
        targets = np.where(right, targets - left, targets)
        node += right
    return node - width


if COMPILED:

    @njit(cache=True)
    def _assign_compiled(nodes: Floats, leaves: Ints, values: Floats) -> None:
        width = nodes.size // 2
        for position in range(leaves.size):
            node = width + leaves[position]
            nodes[node] = values[position]
            node >>= 1
            while node >= 1:
                nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
                node >>= 1

    @njit(cache=True)
    def _draw_compiled(nodes: Floats, uniforms: Floats) -> Ints:
        strata = uniforms.size
        width = nodes.size // 2
        share = nodes[1] / strata
        drawn = np.empty(strata, np.int64)
        for stratum in range(strata):
            target = (stratum + uniforms[stratum]) * share
            node = 1
            while node < width:
                node *= 2
                if target >= nodes[node] and nodes[node + 1] > 0.0:
                    target -= nodes[node]
                    node += 1
            drawn[stratum] = node - width
        return drawn


class SumTree:
    """Leaf values and their sums.

    Args:
        capacity: number of leaves; any positive number.
        compiled: whether to use numba; by default where it is installed.
    """

    def __init__(self, capacity: int, *, compiled: bool = COMPILED) -> None:
        self.capacity = capacity
        self._width = 1 << max(1, (capacity - 1).bit_length())
        self._nodes: Floats = np.zeros(2 * self._width)
        self._assign = _assign_compiled if compiled else _assign_numpy
        self._draw = _draw_compiled if compiled else _draw_numpy
        if compiled:
            self._compile()

    @property
    def total(self) -> float:
        """Sum of all leaves."""
        return float(self._nodes[1])

    @property
    def leaves(self) -> Floats:
        """The leaves, to be read only."""
        return self._nodes[self._width : self._width + self.capacity]

    def assign(self, leaves: Ints, values: Floats) -> None:
        """Sets the values of leaves; of a repeated leaf the last value stays."""
        self._assign(self._nodes, leaves, values)

    def replace(self, values: Floats) -> None:
        """Sets every leaf at once."""
        self.leaves[:] = values
        parents = self._width
        while parents > 1:
            children = self._nodes[parents : 2 * parents]
            parents //= 2
            self._nodes[parents : 2 * parents] = children[0::2] + children[1::2]

    def draw(self, uniforms: Floats) -> Ints:
        """Draws one leaf from each of equally heavy strata.

        Args:
            uniforms: a number in [0, 1) for each stratum.

        Returns:
            The drawn leaves, none of which has the value 0; the tree must not be empty.
        """
        assert self._nodes[1] > 0.0, "an empty tree has nothing to draw"
        drawn: Ints = self._draw(self._nodes, uniforms)
        return drawn

    def _compile(self) -> None:
        """Compiles or loads the compiled code, which takes seconds, before anybody waits for a sample."""
        nothing = np.zeros(0, np.int64)
        self._assign(self._nodes, nothing, np.zeros(0))
        self._draw(self._nodes, np.zeros(1))

    def check_valid(self) -> None:
        """Asserts that every parent is the sum of its children and nothing lies outside."""
        parents = np.arange(1, self._width)
        sums = self._nodes[2 * parents] + self._nodes[2 * parents + 1]
        assert np.array_equal(self._nodes[1 : self._width], sums)
        assert (self._nodes[self._width + self.capacity :] == 0.0).all()
        assert (self.leaves >= 0.0).all()
