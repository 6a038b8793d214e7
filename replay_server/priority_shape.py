"""How the priorities of the replay are spread, in figures for people."""

import numpy as np
import numpy.typing as npt

_BINS = 20


def priority_shape(values: npt.NDArray[np.float32]) -> dict[str, object]:
    """Returns a histogram and the effective share of a window of exponentiated priorities.

    The effective share is (sum p)^2 / (n sum p^2): 1 where all transitions are sampled alike, 1/n where
    one gets everything; None for an empty window.

    Args:
        values: float32 [transitions].

    Source:
        Kish (1965), Survey Sampling: the effective size of a weighted sample.
    """
    precise = values.astype(np.float64)
    counts, edges = np.histogram(precise, bins=_BINS)
    squares = float((precise**2).sum())
    share = float(precise.sum()) ** 2 / (len(values) * squares) if squares > 0.0 else None
    return {
        "priority_histogram": counts.tolist(),
        "priority_edges": edges.tolist(),
        "priority_effective_share": share,
    }
