"""Linear layer with factorised Gaussian noise that is passed in, never stored.

Because no noise lives in the layer, a copy of the parameters is a complete copy of the network, and
each forward pass of the loss can use noise of its own.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class LayerNoise(NamedTuple):
    """One draw of factorised noise: f(eps_in) [in] and f(eps_out) [out]."""

    inputs: Tensor
    outputs: Tensor


class NoisyLinear(nn.Module):
    """``y = (mu_w + sigma_w * outer(f(eps_out), f(eps_in))) x + mu_b + sigma_b * f(eps_out)``.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        noisy_std: sigma_0; sigmas start at sigma_0 / sqrt(in_features).

    Source:
        Fortunato et al. (2018), "Noisy Networks for Exploration", eq. 10-11 and section 3.2.
    """

    def __init__(self, in_features: int, out_features: int, noisy_std: float) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        bound = 1.0 / math.sqrt(in_features)
        self.weight_mu = nn.Parameter(
            torch.empty(out_features, in_features).uniform_(-bound, bound)
        )
        self.bias_mu = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))
        sigma = noisy_std / math.sqrt(in_features)
        self.weight_sigma = nn.Parameter(torch.full((out_features, in_features), sigma))
        self.bias_sigma = nn.Parameter(torch.full((out_features,), sigma))

    def draw_noise(self, generator: torch.Generator | None) -> LayerNoise:
        """Draws noise for one forward pass, on the device of the parameters."""
        eps = torch.randn(
            self.in_features + self.out_features,
            generator=generator,
            device=self.weight_mu.device,
        )
        scaled = eps.sign() * eps.abs().sqrt()
        return LayerNoise(scaled[: self.in_features], scaled[self.in_features :])

    def effective(self, noise: LayerNoise | None) -> tuple[Tensor, Tensor]:
        """Returns the weight [out, in] and bias [out] under the noise; None means the mean."""
        if noise is None:
            return self.weight_mu, self.bias_mu
        weight = torch.addcmul(
            self.weight_mu, self.weight_sigma, torch.outer(noise.outputs, noise.inputs)
        )
        return weight, torch.addcmul(self.bias_mu, self.bias_sigma, noise.outputs)

    def forward(self, x: Tensor, noise: LayerNoise | None) -> Tensor:
        """Applies the layer under the noise; None means the mean weights."""
        weight, bias = self.effective(noise)
        return functional.linear(x, weight, bias)
