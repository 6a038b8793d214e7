"""The behaviour policy: epsilon-greedy over an IQN network, one observation at a time."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from actors.game_contract import Observation
from common.config import ExplorationConfig
from common.game_spec import GameSpec
from common.network import IqnNetwork
from common.weights import ParamSnapshot

QValues = npt.NDArray[np.float32]
_EDGE = 1e-6


class Policy:
    """Chooses actions with weights that stay as they are until the next ``load``.

    Exploring uses noise that is sampled once for each installed snapshot and folded into plain weights;
    evaluation uses the mean weights and the midpoints of the quantile intervals, so that the same
    observation always gets the same action.

    Args:
        network: receives the weights of each snapshot; never used to act itself.
        spec: shapes of the game.
        exploration: quantile fractions and risk.
        rng: random actions, noise and fractions come from it.
    """

    def __init__(
        self,
        network: IqnNetwork,
        spec: GameSpec,
        exploration: ExplorationConfig,
        rng: np.random.Generator,
    ) -> None:
        self._network = network
        self._n_actions = spec.n_actions
        self._n_tau = exploration.n_tau_action
        self._risk = exploration.risk
        self._hold_exponent = exploration.hold_exponent
        self._hold_max_steps = exploration.hold_max_steps
        self._held_action = 0
        self._held_steps = 0
        self._rng = rng
        self._generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        midpoints = (torch.arange(self._n_tau, dtype=torch.float32) + 0.5) / self._n_tau
        self._midpoints = wang(midpoints[None], self._risk)
        self._behaviour: IqnNetwork | None = None
        self._mean: IqnNetwork | None = None
        self._param_version = -1

    @property
    def param_version(self) -> int:
        """Learner step of the installed weights; -1 before the first."""
        return self._param_version

    def load(self, snapshot: ParamSnapshot) -> None:
        """Installs the weights of a snapshot with a fresh draw of noise."""
        self._network.load_state_dict(dict(snapshot.tensors))
        self.install(param_version=snapshot.param_version)

    def install(self, *, param_version: int) -> None:
        """Acts from now on with what the network holds at this moment."""
        self._behaviour = _fused(self._network.baked(self._network.draw_noise(self._generator)))
        self._mean = None
        self._param_version = param_version
        self._held_steps = 0

    def act(self, observation: Observation, epsilon: float) -> int:
        """Returns a random action with probability epsilon, else the best under fresh fractions.

        Before the first weights every action is random. With ``hold_exponent`` a random action is held
        for a heavy-tailed number of steps: at 20 Hz a single random step changes next to nothing, and a
        braking point is only ever found by braking for a while.

        Source:
            Dabney, Ostrovski & Barreto (2021), "Temporally-Extended epsilon-Greedy Exploration",
            section 4, with the zeta distribution cut at ``hold_max_steps``.
        """
        if self._held_steps > 0:
            self._held_steps -= 1
            return self._held_action
        if self._behaviour is None or self._rng.random() < epsilon:
            return self._random_action()
        with torch.inference_mode():
            taus = wang(torch.rand((1, self._n_tau), generator=self._generator), self._risk)
            return int(_q_values(self._behaviour, observation, taus).argmax())

    def _random_action(self) -> int:
        """Draws an action and for how many further steps to hold it."""
        self._held_action = int(self._rng.integers(self._n_actions))
        if self._hold_exponent > 0.0:
            drawn = int(self._rng.zipf(self._hold_exponent))
            self._held_steps = min(drawn, self._hold_max_steps) - 1
        return self._held_action

    def greedy(self, observation: Observation) -> tuple[int, QValues]:
        """Returns the best action without noise or chance, and every action's value."""
        if self._mean is None:
            self._mean = _fused(self._network.baked())
        with torch.inference_mode():
            q_values = _q_values(self._mean, observation, self._midpoints)
            return int(q_values.argmax()), q_values.numpy()


def _fused(network: IqnNetwork) -> IqnNetwork:
    """Folds each BatchNorm into the convolution before it: the same function, a tenth faster."""
    layers: list[nn.Module] = []
    for layer in network.trunk:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = layers.pop()
            assert isinstance(convolution, nn.Conv2d)
            layers.append(fuse_conv_bn_eval(convolution, layer))
        else:
            layers.append(layer)
    network.trunk = nn.Sequential(*layers)
    return network


def _q_values(network: IqnNetwork, observation: Observation, taus: Tensor) -> Tensor:
    """Returns float32 [action], the mean over the quantile fractions."""
    images = torch.from_numpy(observation["image"]).unsqueeze(0)
    features = torch.from_numpy(observation["features"]).unsqueeze(0)
    quantiles: Tensor = network(images, features, taus)
    return quantiles[0].mean(dim=0)


def wang(taus: Tensor, risk: float) -> Tensor:
    """Distorts quantile fractions: negative risk weighs the bad outcomes, positive the good ones.

    Source:
        Dabney et al. (2018), section 3.1: Wang(eta, tau) = Phi(Phi^-1(tau) + eta).
    """
    if risk == 0.0:
        return taus
    inner = taus.clamp(_EDGE, 1.0 - _EDGE)
    distorted: Tensor = torch.special.ndtr(torch.special.ndtri(inner) + risk)
    return distorted
