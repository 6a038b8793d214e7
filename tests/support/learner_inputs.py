"""Networks, batches and learner steps for tests of the learner."""

import torch

from common.config import Config, LearnerConfig, NetworkConfig
from common.game_spec import GameSpec
from common.network import IqnNetwork, network_for
from learner.batch import Batch
from learner.learner_step import LearnerStep

TM20 = GameSpec(4, 64, 64, 3, 11, (1000.0, 10.0, 10000.0))
SMALL = GameSpec(4, 16, 16, 3, 5, (1000.0, 10.0, 10000.0))
CPU = torch.device("cpu")


def small_config(**learner: object) -> Config:
    """Returns a configuration that learns in a millisecond a step."""
    return Config(
        network=NetworkConfig(
            conv_channels=(4, 4),
            conv_strides=(2, 2),
            feature_hidden=8,
            hidden=8,
            cosine_dim=4,
        ),
        learner=LearnerConfig.model_validate({"batch_size": 8, **learner}),
    )


def make_network(config: Config, spec: GameSpec = SMALL, *, seed: int = 0) -> IqnNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network_for(spec, config)


def make_step(config: Config, spec: GameSpec = SMALL, *, seed: int = 0) -> LearnerStep:
    network = make_network(config, spec, seed=seed)
    return LearnerStep(network, config.learner, config.replay, device=CPU, seed=seed)


def make_batch(spec: GameSpec = SMALL, *, rows: int = 8, seed: int = 0) -> Batch:
    """Returns random transitions with car features in the units of the game."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, spec.history, spec.frame_height, spec.frame_width)

    def images() -> torch.Tensor:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    def features() -> torch.Tensor:
        scale = torch.tensor(spec.feature_scale)
        return torch.rand(rows, spec.n_features, generator=generator) * scale

    return Batch(
        images=images(),
        features=features(),
        actions=torch.randint(0, spec.n_actions, (rows,), generator=generator),
        returns=torch.rand(rows, generator=generator),
        discounts=torch.full((rows,), 0.997),
        next_images=images(),
        next_features=features(),
        weights=torch.ones(rows),
    )
