"""The IQN network: images and car features in, a quantile value for each action out.

Actors, evaluation and the learner build it from the same game spec and config, so it lives here.

Source:
    Dabney et al. (2018), "Implicit Quantile Networks for Distributional Reinforcement Learning";
    Wang et al. (2016) for the dueling streams; Fortunato et al. (2018) for the noise.
"""

import math

import torch
from torch import Tensor, nn

from common.config import Config, NetworkConfig
from common.game_spec import GameSpec, action_history_features
from common.noisy import LayerNoise, NoisyLinear

Noise = tuple[LayerNoise, ...]
"""Noise of one forward pass, one draw for each noisy layer in a fixed order."""

_GROUP_NORM_GROUPS = 1


def _norm(kind: str, channels: int) -> nn.Module:
    """Returns the normalisation of one convolution's output."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(_GROUP_NORM_GROUPS, channels)
    return nn.Identity()


def _trunk(history: int, config: NetworkConfig) -> nn.Sequential:
    """Builds the convolutions: 3x3, padding 1, ReLU after each, norm after all but the last."""
    layers: list[nn.Module] = []
    channels_in = history
    last = len(config.conv_channels) - 1
    for position, (channels, stride) in enumerate(
        zip(config.conv_channels, config.conv_strides, strict=True)
    ):
        layers.append(nn.Conv2d(channels_in, channels, kernel_size=3, stride=stride, padding=1))
        if position < last and config.norm != "none":
            layers.append(_norm(config.norm, channels))
        layers.append(nn.ReLU())
        channels_in = channels
    return nn.Sequential(*layers, nn.Flatten())


def _mlp(width_in: int, width: int) -> nn.Sequential:
    """Builds the two layers that read a feature vector."""
    return nn.Sequential(
        nn.Linear(width_in, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU()
    )


class Stream(nn.Module):
    """Two layers of the value or the advantage stream, noisy or plain.

    Args:
        width_in: width of the merged state and quantile embedding.
        config: hidden width and noise.
        width_out: 1 for the value, the number of actions for the advantage.
    """

    def __init__(self, width_in: int, config: NetworkConfig, width_out: int) -> None:
        super().__init__()
        self.hidden: nn.Linear | NoisyLinear
        self.out: nn.Linear | NoisyLinear
        if config.noisy:
            self.hidden = NoisyLinear(width_in, config.hidden, config.noisy_std)
            self.out = NoisyLinear(config.hidden, width_out, config.noisy_std)
        else:
            self.hidden = nn.Linear(width_in, config.hidden)
            self.out = nn.Linear(config.hidden, width_out)

    def forward(self, x: Tensor, noise: Noise | None) -> Tensor:
        """Returns [..., width_out]; the noise holds one draw for each of the two layers."""
        first, second = noise if noise is not None else (None, None)
        hidden = torch.relu(_apply(self.hidden, x, first))
        if not torch.is_autocast_enabled(x.device.type):
            return _apply(self.out, hidden, second)
        # Quantile values reach 50 and more, where bfloat16 resolves no better than 0.25.
        with torch.autocast(x.device.type, enabled=False):
            return _apply(self.out, hidden.float(), second)


def _apply(layer: nn.Linear | NoisyLinear, x: Tensor, noise: LayerNoise | None) -> Tensor:
    """Applies one layer of a stream; a plain layer takes no noise."""
    y: Tensor = layer(x, noise) if isinstance(layer, NoisyLinear) else layer(x)
    return y


class IqnNetwork(nn.Module):
    """Implicit quantile network with dueling noisy streams.

    Args:
        spec: shapes of the game. Where past actions are part of the features, they are the last
            ``action_history_features`` of them and get layers of their own.
        config: widths and switches.
        action_history_features: how many of the features encode past actions.
    """

    def __init__(
        self, spec: GameSpec, config: NetworkConfig, action_history_features: int = 0
    ) -> None:
        super().__init__()
        self.spec = spec
        self.config = config
        self.action_history_features = action_history_features
        self.trunk = _trunk(spec.history, config)
        with torch.no_grad():
            probe = torch.zeros(1, spec.history, spec.frame_height, spec.frame_width)
            width = int(self.trunk.eval()(probe).shape[1])
        self.trunk.train()
        self.n_car_features = spec.n_features - action_history_features
        if self.n_car_features > 0:
            self.car = _mlp(self.n_car_features, config.feature_hidden)
            width += config.feature_hidden
        if action_history_features > 0:
            self.past = _mlp(action_history_features, config.action_history_hidden)
            width += config.action_history_hidden
        self.tau_embedding = nn.Linear(config.cosine_dim, width)
        if config.dueling:
            self.value = Stream(width, config, 1)
        self.advantage = Stream(width, config, spec.n_actions)
        frequencies = math.pi * torch.arange(1, config.cosine_dim + 1, dtype=torch.float32)
        self.frequencies: Tensor
        self.feature_scale: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)
        scale = torch.tensor(spec.feature_scale, dtype=torch.float32)
        self.register_buffer("feature_scale", scale)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def draw_noise(self, generator: torch.Generator | None = None) -> Noise | None:
        """Draws the noise of one forward pass; None where the network has no noisy layers."""
        layers = [module for module in self.modules() if isinstance(module, NoisyLinear)]
        return tuple(layer.draw_noise(generator) for layer in layers) or None

    def forward(
        self, images: Tensor, features: Tensor, taus: Tensor, noise: Noise | None = None
    ) -> Tensor:
        """Returns the quantile values Z_tau(s, a), float32 [batch, n_tau, action].

        Under bfloat16 autocast all layers but the last of each stream run in bfloat16.

        Args:
            images: uint8 [batch, history, height, width].
            features: float32 [batch, feature], raw units; scaled here.
            taus: float32 [batch, n_tau], quantile fractions in (0, 1).
            noise: from ``draw_noise``; None uses the mean weights.
        """
        state = self._embed(images, features)
        cosines = torch.cos(taus.unsqueeze(-1) * self.frequencies)
        merged = state.unsqueeze(1) * torch.relu(self.tau_embedding(cosines))
        if not self.config.dueling:
            quantiles: Tensor = self.advantage(merged, noise)
            return quantiles
        value_noise, advantage_noise = (noise[:2], noise[2:]) if noise is not None else (None, None)
        advantage = self.advantage(merged, advantage_noise)
        centred = advantage - advantage.mean(dim=-1, keepdim=True)
        dueling: Tensor = self.value(merged, value_noise) + centred
        return dueling

    def _embed(self, images: Tensor, features: Tensor) -> Tensor:
        """Returns the state embedding [batch, width]."""
        pixels = images.to(torch.float32).mul_(1.0 / 255.0)
        parts = [self.trunk(pixels.contiguous(memory_format=torch.channels_last))]
        scaled = features / self.feature_scale
        if self.n_car_features > 0:
            parts.append(self.car(scaled[:, : self.n_car_features]))
        if self.action_history_features > 0:
            parts.append(self.past(scaled[:, self.n_car_features :]))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    @torch.no_grad()
    def baked(self, noise: Noise | None = None) -> "IqnNetwork":
        """Returns an evaluation-mode copy with the noise folded into plain weights.

        Args:
            noise: from ``draw_noise``; None bakes the mean weights, for greedy evaluation.
        """
        plain_config = self.config.model_copy(update={"noisy": False})
        plain = IqnNetwork(self.spec, plain_config, self.action_history_features)
        own = {
            name: tensor
            for name, tensor in self.state_dict().items()
            if not name.startswith(("value.", "advantage."))
        }
        draws = iter(noise or ())
        for stream_name in ("value", "advantage"):
            stream = getattr(self, stream_name, None)
            if stream is None:
                continue
            for layer_name in ("hidden", "out"):
                layer = getattr(stream, layer_name)
                weight, bias = (
                    layer.effective(next(draws, None))
                    if isinstance(layer, NoisyLinear)
                    else (layer.weight, layer.bias)
                )
                own[f"{stream_name}.{layer_name}.weight"] = weight
                own[f"{stream_name}.{layer_name}.bias"] = bias
        plain.load_state_dict(own)
        return plain.to(self.feature_scale.device).eval()


def network_for(spec: GameSpec, config: Config) -> IqnNetwork:
    """Returns the network of a run; learner, actors and evaluation all build it here."""
    return IqnNetwork(spec, config.network, action_history_features(config.game, spec.n_actions))
