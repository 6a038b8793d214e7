"""The network: size, noise, evaluation mode, scale."""

import pytest
import torch

from common.config import Config, NetworkConfig
from common.game_spec import GameSpec
from common.network import IqnNetwork
from tests.support.learner_inputs import SMALL, TM20, make_batch, make_network, small_config


def taus(rows: int, count: int = 8) -> torch.Tensor:
    return torch.rand(rows, count, generator=torch.Generator().manual_seed(5))


def test_the_proven_network_has_372_032_parameters() -> None:
    network = make_network(Config(), TM20)
    assert sum(parameter.numel() for parameter in network.parameters()) == 372_032


def test_shapes_and_dtype() -> None:
    batch = make_batch(TM20)
    out = make_network(Config(), TM20)(batch.images, batch.features, taus(8))
    assert out.shape == (8, 8, 11)
    assert out.dtype == torch.float32


def test_noise_differs_between_draws_and_changes_the_output() -> None:
    network = make_network(small_config()).eval()
    batch = make_batch()
    generator = torch.Generator().manual_seed(0)
    first, second = network.draw_noise(generator), network.draw_noise(generator)
    outs = [network(batch.images, batch.features, taus(8), noise) for noise in (first, second)]
    assert not torch.equal(outs[0], outs[1])
    again = network(batch.images, batch.features, taus(8), first)
    assert torch.equal(outs[0], again)


def test_without_noise_two_passes_agree() -> None:
    network = make_network(small_config()).eval()
    batch = make_batch()
    outs = [network(batch.images, batch.features, taus(8)) for _ in range(2)]
    assert torch.equal(*outs)


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("dueling", [True, False])
def test_baked_equals_the_network_with_its_noise(*, noisy: bool, dueling: bool) -> None:
    config = Config(network=NetworkConfig(noisy=noisy, dueling=dueling))
    network = make_network(config, TM20).eval()
    batch = make_batch(TM20)
    noise = network.draw_noise(torch.Generator().manual_seed(3))
    assert (noise is None) == (not noisy)
    for draw in (noise, None):
        expected = network(batch.images, batch.features, taus(8), draw)
        baked = network.baked(draw)(batch.images, batch.features, taus(8))
        torch.testing.assert_close(baked, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_acting_alone_equals_the_row_of_a_batch(norm: str) -> None:
    network = make_network(Config(network=NetworkConfig(norm=norm)), TM20)
    network.train()
    batch = make_batch(TM20, rows=32)
    network(batch.images, batch.features, taus(32))  # moves BatchNorm's running statistics
    network.eval()
    together = network(batch.images, batch.features, taus(32))
    for row in (0, 17):
        alone = network(
            batch.images[row : row + 1], batch.features[row : row + 1], taus(32)[row : row + 1]
        )
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_the_convolutions_are_not_affine() -> None:
    trunk = make_network(Config(), TM20).eval().trunk
    a, b = torch.rand(2, 1, 4, 64, 64)
    zero = torch.zeros_like(a)
    residual = trunk(a + b) + trunk(zero) - trunk(a) - trunk(b)
    scale = trunk(a + b).abs().mean()
    assert residual.abs().mean() > 0.01 * scale


def test_values_start_near_zero_at_full_rpm() -> None:
    network = make_network(Config(), TM20).eval()
    batch = make_batch(TM20)
    features = torch.tensor([[300.0, 6.0, 10_500.0]]).expand(8, 3)
    assert network(batch.images, features, taus(8)).abs().mean() < 2.0


def test_dueling_advantages_are_centred() -> None:
    config = small_config()
    network = make_network(config).eval()
    batch = make_batch()
    with torch.no_grad():
        for parameter in network.value.parameters():
            parameter.zero_()
    out = network(batch.images, batch.features, taus(8))
    assert out.mean(dim=-1).abs().max() < 1e-6


def test_the_quantile_fraction_matters() -> None:
    network = make_network(small_config()).eval()
    batch = make_batch()
    low = network(batch.images, batch.features, torch.full((8, 1), 0.05))
    high = network(batch.images, batch.features, torch.full((8, 1), 0.95))
    assert not torch.allclose(low, high)


def test_past_actions_get_layers_of_their_own() -> None:
    spec = GameSpec(4, 16, 16, 3 + 12, 5, (1000.0, 10.0, 10000.0) + (1.0,) * 12)
    network = IqnNetwork(spec, small_config().network, 12)
    assert network.past[0].in_features == 12
    assert network.car[0].in_features == 3


def test_a_game_without_features_works() -> None:
    spec = GameSpec(4, 16, 16, 0, 5, ())
    network = IqnNetwork(spec, small_config().network)
    batch = make_batch(SMALL)
    assert network(batch.images, torch.zeros(8, 0), taus(8)).shape == (8, 8, 5)


def test_bfloat16_keeps_the_last_layers_in_float32() -> None:
    network = make_network(small_config()).eval()
    batch = make_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = network(batch.images, batch.features, taus(8))
    assert out.dtype == torch.float32
    assert len(out.to(torch.bfloat16).unique()) < len(out.unique())
