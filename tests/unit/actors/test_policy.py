"""The behaviour policy: greedy is deterministic, exploring is not, risk moves the fractions."""

import numpy as np
import pytest
import torch

from actors.game_contract import Observation
from actors.policy import Policy, wang
from common.config import Config, ExplorationConfig, NetworkConfig
from common.game_spec import GameSpec
from common.network import IqnNetwork, network_for
from common.weights import decode_weights, encode_weights

SPEC = GameSpec(2, 11, 9, 3, 5, (1.0, 1.0, 1.0))
CONFIG = Config(network=NetworkConfig(feature_hidden=16, hidden=12, cosine_dim=8))


def network(seed: int) -> IqnNetwork:
    torch.manual_seed(seed)
    return network_for(SPEC, CONFIG)


def policy(seed: int = 0, exploration: ExplorationConfig | None = None) -> Policy:
    rng = np.random.default_rng(seed)
    return Policy(network(seed), SPEC, exploration or CONFIG.exploration, rng)


def observation(seed: int) -> Observation:
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (2, 11, 9), dtype=np.uint8),
        "features": rng.normal(size=3).astype(np.float32),
    }


def test_before_the_first_weights_it_acts_at_random() -> None:
    untrained = policy()
    assert untrained.param_version == -1
    actions = {untrained.act(observation(0), epsilon=0.0) for _ in range(200)}
    assert actions == set(range(5))


def test_epsilon_one_is_uniform() -> None:
    explorer = policy()
    explorer.install(param_version=0)
    counts = np.bincount([explorer.act(observation(0), 1.0) for _ in range(2000)], minlength=5)
    assert counts.min() > 320


def test_random_actions_are_held_for_a_heavy_tailed_time_and_at_most_the_longest() -> None:
    exploration = ExplorationConfig(hold_exponent=2.0, hold_max_steps=10)
    chooser = policy(exploration=exploration)
    actions = np.array([chooser.act(observation(0), 1.0) for _ in range(20_000)])
    starts = np.flatnonzero(np.diff(actions, prepend=-1))
    runs = np.diff(np.append(starts, len(actions)))
    # Two draws in a row may agree on the action, so a run can exceed one hold.
    single = float((runs == 1).mean())
    assert 0.45 < single < 0.65  # 1 / zeta(2) = 0.61, less where neighbours agree
    assert (runs >= 10).mean() > 0.03
    assert runs.max() < 60


def test_without_an_exponent_random_actions_are_independent() -> None:
    chooser = policy()
    actions = np.array([chooser.act(observation(0), 1.0) for _ in range(20_000)])
    repeats = float((np.diff(actions) == 0).mean())
    assert abs(repeats - 1.0 / chooser._n_actions) < 0.02


def test_a_hold_ends_with_the_installation_of_new_weights() -> None:
    chooser = policy(exploration=ExplorationConfig(hold_exponent=1.01, hold_max_steps=1000))
    while chooser._held_steps < 5:
        chooser.act(observation(0), 1.0)
    chooser.install(param_version=3)
    assert chooser._held_steps == 0


def test_greedy_is_deterministic_and_has_no_noise() -> None:
    one, other = policy(0), policy(0)
    one.install(param_version=0)
    other.install(param_version=0)
    other.install(param_version=0)  # another draw of noise
    for seed in range(10):
        action, q_values = one.greedy(observation(seed))
        again, q_again = other.greedy(observation(seed))
        assert action == again == int(q_values.argmax())
        np.testing.assert_array_equal(q_values, q_again)


def test_greedy_values_are_the_mean_over_the_midpoints() -> None:
    learner = network(3)
    for layer in learner.trunk:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-1.0, 1.0)  # type: ignore[union-attr]
            layer.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    acting = Policy(learner, SPEC, CONFIG.exploration, np.random.default_rng(3))
    acting.install(param_version=0)
    seen = observation(1)
    _, q_values = acting.greedy(seen)
    taus = torch.tensor([[0.0625, 0.1875, 0.3125, 0.4375, 0.5625, 0.6875, 0.8125, 0.9375]])
    images = torch.from_numpy(seen["image"])[None]
    features = torch.from_numpy(seen["features"])[None]
    with torch.no_grad():
        expected = learner.eval()(images, features, taus)[0].mean(dim=0)
    np.testing.assert_allclose(q_values, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_noise_is_drawn_once_for_each_installation() -> None:
    acting = policy(0)
    acting.install(param_version=0)
    first = acting._behaviour
    for seed in range(5):
        acting.act(observation(seed), 0.0)
    assert acting._behaviour is first
    acting.install(param_version=1)
    assert first is not None
    assert acting._behaviour is not None
    before, after = first.advantage.out.weight, acting._behaviour.advantage.out.weight
    assert not torch.equal(before, after)


def test_a_snapshot_brings_the_learner_s_weights() -> None:
    learner = network(9)
    blob = encode_weights(learner, param_version=1500, contract="abc")
    acting = policy(0)
    acting.load(decode_weights(blob, contract="abc"))
    assert acting.param_version == 1500
    twin = Policy(learner, SPEC, CONFIG.exploration, np.random.default_rng(1))
    twin.install(param_version=1500)
    np.testing.assert_array_equal(acting.greedy(observation(0))[1], twin.greedy(observation(0))[1])


def test_acting_leaves_running_statistics_alone() -> None:
    acting = policy(0)
    acting.install(param_version=0)
    assert acting._behaviour is not None
    before = {name: tensor.clone() for name, tensor in acting._behaviour.state_dict().items()}
    for seed in range(5):
        acting.act(observation(seed), 0.0)
    for name, tensor in acting._behaviour.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_wang_at_the_median() -> None:
    # Phi(0 + 0.75) = 0.77337, Phi(0 - 0.75) = 0.22663
    median = torch.tensor([[0.5]])
    assert wang(median, 0.75).item() == pytest.approx(0.77337, abs=1e-5)
    assert wang(median, -0.75).item() == pytest.approx(0.22663, abs=1e-5)
    assert wang(median, 0.0) is median


def test_wang_stays_finite_at_the_edges() -> None:
    distorted = wang(torch.tensor([[0.0, 1.0 - 1e-9]]), -1.0)
    assert torch.isfinite(distorted).all()
    assert (distorted >= 0).all()
    assert (distorted < 1).all()


def test_risk_lowers_the_values_of_a_cautious_policy() -> None:
    """Only quantile functions that rise are comparable, so the network is replaced by its taus."""
    cautious = policy(0, ExplorationConfig(risk=-0.75))
    bold = policy(0, ExplorationConfig(risk=0.75))
    assert cautious._midpoints.mean() < 0.5 < bold._midpoints.mean()
