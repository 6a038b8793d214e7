"""The loss against numbers worked by hand and against a loop in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

from learner.loss import (
    bootstrap_targets,
    munchausen_targets,
    priorities,
    quantile_huber_loss,
    take_action,
    td_errors,
)


def loss_by_loops(q: Tensor, target: Tensor, taus: Tensor, kappa: float) -> np.ndarray:
    """IQN eq. 3, written as it is printed."""
    losses = np.zeros(len(q))
    for b in range(len(q)):
        for i in range(q.shape[1]):
            inner = 0.0
            for j in range(target.shape[1]):
                delta = float(target[b, j]) - float(q[b, i])
                if abs(delta) <= kappa:
                    huber = 0.5 * delta * delta
                else:
                    huber = kappa * (abs(delta) - 0.5 * kappa)
                inner += abs(float(taus[b, i]) - (1.0 if delta < 0 else 0.0)) * huber / kappa
            losses[b] += inner / target.shape[1]
    return losses


@pytest.mark.parametrize("kappa", [0.1, 1.0, 2.5])
def test_the_loss_equals_a_loop_in_float64(kappa: float) -> None:
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(6, 8, generator=generator, dtype=torch.float64) * 2
    target = torch.randn(6, 5, generator=generator, dtype=torch.float64) * 2
    taus = torch.rand(6, 8, generator=generator, dtype=torch.float64)
    ours = quantile_huber_loss(td_errors(q, target), taus, kappa)
    np.testing.assert_allclose(ours.numpy(), loss_by_loops(q, target, taus, kappa), rtol=1e-12)
    single = quantile_huber_loss(td_errors(q.float(), target.float()), taus.float(), kappa)
    np.testing.assert_allclose(single.numpy(), ours.numpy(), rtol=2e-6)


def test_the_loss_of_two_by_two_worked_by_hand() -> None:
    """Online 1 at tau 0.25 and 3 at tau 0.75; targets 2 and 5.

    Huber gives (0.5, 3.5) and (0.5, 1.5), the weights are (0.25, 0.25) and (0.25, 0.75), and the
    means over the targets 0.5 and 0.625.
    """
    delta = td_errors(torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 5.0]]))
    assert delta.tolist() == [[[1.0, 4.0], [-1.0, 2.0]]]
    loss = quantile_huber_loss(delta, torch.tensor([[0.25, 0.75]]), 1.0)
    assert loss.tolist() == pytest.approx([0.5 + 0.625])


def test_the_loss_pulls_a_low_fraction_down() -> None:
    q = torch.zeros(1, 2, requires_grad=True)
    targets = torch.tensor([[-1.0, 1.0]])
    loss = quantile_huber_loss(td_errors(q, targets), torch.tensor([[0.1, 0.9]]), 1.0)
    loss.sum().backward()
    assert q.grad is not None
    assert q.grad[0, 0] > 0 > q.grad[0, 1]


def test_double_takes_the_selectors_action_from_the_target() -> None:
    dist_q = torch.tensor([[[1.0, 10.0], [3.0, 30.0]]])  # [1, tau 2, action 2]
    targets = bootstrap_targets(
        dist_q, torch.tensor([[9.0, 0.0]]), torch.tensor([0.5]), torch.tensor([0.9])
    )
    torch.testing.assert_close(targets, torch.tensor([[0.5 + 0.9, 0.5 + 2.7]]))


def test_termination_does_not_bootstrap() -> None:
    targets = bootstrap_targets(
        torch.full((1, 3, 2), 100.0), torch.zeros(1, 2), torch.tensor([2.0]), torch.tensor([0.0])
    )
    assert targets.tolist() == [[2.0, 2.0, 2.0]]


def test_take_action_picks_each_rows_action() -> None:
    dist_q = torch.arange(12.0).view(2, 2, 3)
    assert take_action(dist_q, torch.tensor([0, 2])).tolist() == [[0.0, 3.0], [8.0, 11.0]]


def test_priorities_by_kind() -> None:
    delta = torch.tensor([[[1.0, -1.0], [3.0, -3.0]], [[1.0, 1.0], [2.0, 2.0]]])
    loss = torch.tensor([7.0, 8.0])
    assert priorities("mean", delta, loss).tolist() == [0.0, 1.5]
    assert priorities("pairwise", delta, loss).tolist() == [2.0, 1.5]
    assert priorities("loss", delta, loss).tolist() == [7.0, 8.0]


def test_munchausen_equals_its_printed_form() -> None:
    """r + 0.9 [0.03 ln pi(a|s)]_-1^0 + gamma sum_a pi(a|s') (Z(s', a) - 0.03 ln pi(a|s'))."""
    generator = torch.Generator().manual_seed(2)
    dist_q_t = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64) * 0.05
    q_tm1 = torch.randn(3, 5, generator=generator, dtype=torch.float64) * 0.05
    actions = torch.tensor([0, 4, 2])
    returns = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    discounts = torch.tensor([0.9, 0.9, 0.0], dtype=torch.float64)
    ours = munchausen_targets(dist_q_t, q_tm1, actions, returns, discounts).numpy()
    for b in range(3):
        policy = softmax(q_tm1[b].numpy() / 0.03)
        next_policy = softmax(dist_q_t[b].mean(dim=0).numpy() / 0.03)
        bonus = 0.9 * np.clip(0.03 * np.log(policy[int(actions[b])]), -1.0, 0.0)
        for j in range(4):
            soft = next_policy @ (dist_q_t[b, j].numpy() - 0.03 * np.log(next_policy))
            expected = float(returns[b]) + bonus + float(discounts[b]) * soft
            assert ours[b, j] == pytest.approx(expected, rel=1e-9)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()
