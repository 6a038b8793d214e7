"""One learner step: three forward passes, the loss, backward, clip, AdamW, target update."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.config import Config, LearnerConfig, ReplayConfig, TargetConfig
from common.errors import MachineError
from common.game_spec import GameSpec
from common.network import IqnNetwork, network_for
from learner.batch import Batch
from learner.loss import (
    bootstrap_targets,
    munchausen_targets,
    priorities,
    quantile_huber_loss,
    take_action,
    td_errors,
    uses_online_selector,
)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one learner step leaves behind, still on the device.

    Attributes:
        priorities: float32 [batch].
        loss: float32 scalar, importance-weighted.
        q_mean: float32 scalar, mean value of the actions taken.
        q_std: float32 scalar, spread of those values over the batch.
        q_max: float32 scalar, largest of them.
        td_error: float32 scalar, mean |mean target - mean online|.
        grad_norm: float32 scalar, before clipping.
    """

    priorities: Tensor
    loss: Tensor
    q_mean: Tensor
    q_std: Tensor
    q_max: Tensor
    td_error: Tensor
    grad_norm: Tensor


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Splits parameters into decayed matrices and undecayed biases, norms and noise scales."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        is_matrix = parameter.ndim > 1 and not name.endswith("_sigma")
        (matrices if is_matrix else others).append(parameter)
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


@torch.no_grad()
def update_target(target: nn.Module, online: nn.Module, config: TargetConfig) -> None:
    """Moves the target towards the online network, BatchNorm buffers included.

    A hard copy takes all of it; a soft one mixes floating-point state by ``config.mix`` and copies
    the rest (counters).
    """
    own = target.state_dict()
    for name, fresh in online.state_dict().items():
        if config.rule == "soft" and own[name].is_floating_point():
            own[name].lerp_(fresh, config.mix)
        else:
            own[name].copy_(fresh)


class LearnerStep:
    """Online and target network, optimizer and the generator of taus and noise.

    Args:
        network: freshly initialised online network on the CPU.
        config: loss, optimizer and target rule.
        replay: how priorities are computed.
        device: where to train.
        seed: of taus and noise.
    """

    def __init__(
        self,
        network: IqnNetwork,
        config: LearnerConfig,
        replay: ReplayConfig,
        *,
        device: torch.device,
        seed: int,
    ) -> None:
        self.config = config
        self.priority_kind = replay.priority
        self.device = device
        self.online = network.to(device)
        self.target = IqnNetwork(network.spec, network.config, network.action_history_features).to(
            device
        )
        update_target(self.target, self.online, TargetConfig())
        self.target.eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            decay_groups(self.online, config.weight_decay),
            lr=config.learning_rate.initial,
            eps=config.adam_epsilon,
            fused=True,
        )
        self.generator = torch.Generator(device=device)
        self.generator.manual_seed(seed)
        self.learner_steps = 0
        self.target_syncs = 0

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets the rate of all parameter groups."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def step(self, batch: Batch) -> StepResult:
        """Takes one learner step on a batch and returns its priorities and measurements."""
        taus = self._draw_taus(len(batch.actions))
        targets = self._targets(batch)
        self.online.train()
        with self._autocast():
            dist_q_tm1 = self.online(
                batch.images, batch.features, taus, self.online.draw_noise(self.generator)
            ).float()
        q_tm1 = take_action(dist_q_tm1, batch.actions)
        delta = td_errors(q_tm1, targets)
        losses = quantile_huber_loss(delta, taus, self.config.kappa)
        loss = (batch.weights * losses).mean()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        grad_norm = nn.utils.clip_grad_norm_(
            self.online.parameters(), self.config.grad_clip_norm, foreach=True
        )
        self.optimizer.step()
        self.learner_steps += 1
        self._follow()
        values = q_tm1.detach().mean(dim=1)
        delta = delta.detach()
        return StepResult(
            priorities=priorities(self.priority_kind, delta, losses.detach()),
            loss=loss.detach(),
            q_mean=values.mean(),
            q_std=values.std(unbiased=False),
            q_max=values.max(),
            td_error=delta.mean(dim=(1, 2)).abs().mean(),
            grad_norm=grad_norm,
        )

    def _draw_taus(self, rows: int) -> Tensor:
        return torch.rand(
            rows, self.config.n_tau_train, generator=self.generator, device=self.device
        )

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type,
            dtype=torch.bfloat16,
            enabled=self.config.precision == "bfloat16",
        )

    @torch.no_grad()
    def _targets(self, batch: Batch) -> Tensor:
        """Returns float32 [batch, n_tau_target]; running statistics, noise drawn for each pass."""
        rows = len(batch.actions)
        with self._autocast():
            dist_q_target_t = self._target_pass(batch.next_images, batch.next_features, rows)
            if self.config.munchausen:
                q_target_tm1 = self._target_pass(batch.images, batch.features, rows).mean(dim=1)
                return munchausen_targets(
                    dist_q_target_t, q_target_tm1, batch.actions, batch.returns, batch.discounts
                )
            selector_q_t = dist_q_target_t.mean(dim=1)
            if uses_online_selector(self.config):
                self.online.eval()
                noise = self.online.draw_noise(self.generator)
                selector_q_t = self.online(
                    batch.next_images, batch.next_features, self._draw_taus(rows), noise
                ).mean(dim=1)
        return bootstrap_targets(dist_q_target_t, selector_q_t, batch.returns, batch.discounts)

    def _target_pass(self, images: Tensor, features: Tensor, rows: int) -> Tensor:
        noise = self.target.draw_noise(self.generator)
        quantiles: Tensor = self.target(images, features, self._draw_taus(rows), noise)
        return quantiles.float()

    def _follow(self) -> None:
        """Updates the target by its rule, counted in learner steps."""
        rule = self.config.target
        if rule.rule == "soft":
            update_target(self.target, self.online, rule)
        elif self.learner_steps % rule.period_learner_steps == 0:
            update_target(self.target, self.online, rule)
            self.target_syncs += 1


def choose_device(config: Config) -> torch.device:
    """Returns the device that ``learner.device`` means on this machine.

    Raises:
        MachineError: the configuration insists on a GPU that torch cannot use.
    """
    wanted = config.learner.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise MachineError(
            "learner.device is cuda, and torch finds no GPU that it can use.",
            f"Torch {torch.__version__} needs an NVIDIA GPU, its driver and a build with CUDA.",
            "--set learner.device=cpu, or install a torch build for this driver; "
            "apexmania doctor --role learner shows what is there.",
        )
    return torch.device(wanted)


def make_step(config: Config, spec: GameSpec, device: torch.device) -> LearnerStep:
    """Returns a fresh learner whose weights depend on the run's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = network_for(spec, config)
    return LearnerStep(network, config.learner, config.replay, device=device, seed=config.seed)


def averaged(results: Iterable[StepResult]) -> dict[str, float]:
    """Returns the mean of each measurement over some steps, with one transfer to the host."""
    rows = [
        torch.stack([r.loss, r.q_mean, r.q_std, r.q_max, r.td_error, r.grad_norm]) for r in results
    ]
    means = torch.stack(rows).mean(dim=0).tolist()
    names = ("loss", "q_mean", "q_std", "q_max", "td_error", "grad_norm")
    return dict(zip(names, means, strict=True))
