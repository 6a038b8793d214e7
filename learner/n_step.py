"""n-step returns and bootstraps of the transitions of one segment."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class NStepRows:
    """Columns of a segment's transitions, in the order of their first steps.

    Attributes:
        span: int64 [transitions], env steps between the two observations of each.
        returns: float32 [transitions], discounted sum of the rewards in between.
        discounts: float32 [transitions], gamma ** span; 0 where the episode terminated.
    """

    span: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]


def n_step_rows(
    rewards: npt.NDArray[np.float32],
    *,
    transitions: int,
    n_step: int,
    discount: float,
    terminated: bool,
) -> NStepRows:
    """Returns the n-step columns of a segment.

    A transition looks at most ``n_step`` rewards ahead and stops at the segment's end, which is the
    episode's end for every transition that is cut short. A termination bootstraps with 0, a
    truncation with gamma to the number of steps taken.

    Args:
        rewards: float32 [m], one reward per env step.
        transitions: how many of the m steps start a transition here.
        n_step: the n of the return, in env steps.
        discount: gamma of one env step.
        terminated: whether the episode terminated with the last step.

    Source:
        Sutton & Barto (2018), eq. 7.1; Pardo et al. (2018) for the bootstrap at time limits.
    """
    steps = len(rewards)
    start = np.arange(transitions, dtype=np.int64)
    span = np.minimum(n_step, steps - start)
    returns = np.zeros(transitions, np.float64)
    for offset in range(n_step):
        inside = start + offset < steps
        returns[inside] += discount**offset * rewards[start[inside] + offset]
    bootstraps = np.power(discount, span.astype(np.float64))
    if terminated:
        bootstraps[start + span == steps] = 0.0
    return NStepRows(
        span=span, returns=returns.astype(np.float32), discounts=bootstraps.astype(np.float32)
    )
