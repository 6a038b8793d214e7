"""The quantile Huber loss of IQN and the bootstrap targets it regresses on.

Names follow DeepMind's convention: ``_tm1`` is the state acted in, ``_t`` the state bootstrapped from.
"""

from typing import Literal

import torch
from torch import Tensor

from common.config import LearnerConfig

MUNCHAUSEN_SCALE = 0.9
MUNCHAUSEN_TEMPERATURE = 0.03
MUNCHAUSEN_FLOOR = -1.0


def take_action(dist_q: Tensor, actions: Tensor) -> Tensor:
    """Returns the quantile values [batch, n_tau] of one action for each row.

    Args:
        dist_q: float32 [batch, n_tau, action].
        actions: int64 [batch].
    """
    index = actions.view(-1, 1, 1).expand(-1, dist_q.shape[1], 1)
    return dist_q.gather(2, index).squeeze(2)


def td_errors(dist_q_tm1: Tensor, dist_target_t: Tensor) -> Tensor:
    """Returns delta_ij = target_j - online_i, float32 [batch, n_tau, n_tau_target].

    Args:
        dist_q_tm1: float32 [batch, n_tau], online quantile values of the action taken.
        dist_target_t: float32 [batch, n_tau_target], bootstrapped targets without gradient.
    """
    return dist_target_t.unsqueeze(1) - dist_q_tm1.unsqueeze(2)


def quantile_huber_loss(delta: Tensor, tau_tm1: Tensor, kappa: float) -> Tensor:
    """Returns the loss of each transition, float32 [batch]: mean over targets, sum over online taus.

    Args:
        delta: float32 [batch, n_tau, n_tau_target].
        tau_tm1: float32 [batch, n_tau], the fractions of the online quantiles.
        kappa: threshold between the quadratic and the linear part, in reward units.

    Source:
        Dabney et al. (2018), IQN, eq. 3 (with the 1/kappa of its text).
    """
    magnitude = delta.abs()
    huber = torch.where(magnitude <= kappa, 0.5 * delta.square(), kappa * (magnitude - 0.5 * kappa))
    asymmetry = (tau_tm1.unsqueeze(2) - (delta < 0).to(delta.dtype)).abs()
    return (asymmetry * huber / kappa).mean(dim=2).sum(dim=1)


def bootstrap_targets(
    dist_q_target_t: Tensor, selector_q_t: Tensor, returns_t: Tensor, discounts_t: Tensor
) -> Tensor:
    """Returns r + gamma^n Z_target(s', argmax_a selector), float32 [batch, n_tau_target].

    Args:
        dist_q_target_t: float32 [batch, n_tau_target, action] of the target network.
        selector_q_t: float32 [batch, action], what the bootstrap action is chosen by: the online
            network's mean for double DQN, the target network's own otherwise.
        returns_t: float32 [batch], n-step returns.
        discounts_t: float32 [batch], 0 where the episode terminated.

    Source:
        van Hasselt et al. (2016), eq. 4, applied to quantiles as in Hessel et al. (2018).
    """
    chosen = take_action(dist_q_target_t, selector_q_t.argmax(dim=1))
    return returns_t.unsqueeze(1) + discounts_t.unsqueeze(1) * chosen


def munchausen_targets(
    dist_q_target_t: Tensor,
    q_target_tm1: Tensor,
    actions_tm1: Tensor,
    returns_t: Tensor,
    discounts_t: Tensor,
) -> Tensor:
    """Returns Munchausen-IQN targets, float32 [batch, n_tau_target].

    The reward gains the scaled, clipped log-policy of the action taken and the bootstrap becomes
    the soft value under the target network's softmax policy.

    Args:
        dist_q_target_t: float32 [batch, n_tau_target, action] in s'.
        q_target_tm1: float32 [batch, action], target network's mean in s.
        actions_tm1: int64 [batch].
        returns_t: float32 [batch].
        discounts_t: float32 [batch].

    Source:
        Vieillard, Pietquin & Geist (2020), "Munchausen Reinforcement Learning", eq. 1 and appendix.
    """
    log_policy_tm1 = torch.log_softmax(q_target_tm1 / MUNCHAUSEN_TEMPERATURE, dim=1)
    taken = log_policy_tm1.gather(1, actions_tm1.unsqueeze(1)).squeeze(1)
    bonus = MUNCHAUSEN_SCALE * (MUNCHAUSEN_TEMPERATURE * taken).clamp(MUNCHAUSEN_FLOOR, 0.0)
    log_policy_t = torch.log_softmax(dist_q_target_t.mean(dim=1) / MUNCHAUSEN_TEMPERATURE, dim=1)
    entropy_term = MUNCHAUSEN_TEMPERATURE * log_policy_t.unsqueeze(1)
    soft_value = (log_policy_t.exp().unsqueeze(1) * (dist_q_target_t - entropy_term)).sum(dim=2)
    return (returns_t + bonus).unsqueeze(1) + discounts_t.unsqueeze(1) * soft_value


def priorities(kind: Literal["mean", "pairwise", "loss"], delta: Tensor, loss: Tensor) -> Tensor:
    """Returns the new priority of each transition before the exponent alpha, float32 [batch].

    Args:
        kind: ``mean`` is |mean target - mean online|, which vanishes for a state whose value is
            known however random it is; ``pairwise`` is the original program's mean |delta_ij|.
        delta: float32 [batch, n_tau, n_tau_target].
        loss: float32 [batch], before importance weighting.
    """
    if kind == "mean":
        return delta.mean(dim=(1, 2)).abs()
    if kind == "pairwise":
        return delta.abs().mean(dim=(1, 2))
    return loss


def uses_online_selector(config: LearnerConfig) -> bool:
    """Returns whether the loss needs the online network's opinion of the next state."""
    return config.double and not config.munchausen
