"""All tensors that decide the next learner step, taken from a ``LearnerStep`` and put back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog
import torch
from torch import Tensor, nn

from common.errors import MismatchError
from common.weights import cpu_tensors
from learner.learner_step import LearnerStep

_log = structlog.get_logger()

_GENERATOR = "learner"
Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class LearnerState:
    """Tensors on the CPU, by name.

    Attributes:
        online: state dict of the online network.
        target: state dict of the target network.
        optimizer: AdamW's moments and step counts, ``<parameter>.<moment>``; empty before a step.
        generators: uint8 state of the generator of taus and noise.
    """

    online: Tensors
    target: Tensors
    optimizer: Tensors
    generators: Tensors


def capture(step: LearnerStep) -> LearnerState:
    """Returns a copy of everything that the next learner step depends on, but its batch."""
    moments = {
        f"{name}.{moment}": value.detach().to("cpu", copy=True).contiguous()
        for name, parameter in step.online.named_parameters()
        for moment, value in step.optimizer.state.get(parameter, {}).items()
    }
    return LearnerState(
        online=cpu_tensors(step.online),
        target=cpu_tensors(step.target),
        optimizer=moments,
        generators={_GENERATOR: step.generator.get_state().cpu()},
    )


def install(step: LearnerStep, state: LearnerState) -> None:
    """Puts a captured state back; the next step is then the one that would have followed.

    Raises:
        MismatchError: the state belongs to a network of other shapes.
    """
    for network, tensors in ((step.online, state.online), (step.target, state.target)):
        _require_same_shapes(network, tensors)
        network.load_state_dict(tensors)
    _install_moments(step, state.optimizer)
    generator = state.generators[_GENERATOR]
    if generator.shape == step.generator.get_state().shape:
        step.generator.set_state(generator)
    else:
        _log.warning("generator_not_restored", why="the checkpoint was written on another device")


def _install_moments(step: LearnerStep, moments: Tensors) -> None:
    step.optimizer.state.clear()
    if not moments:
        return
    _require_names(moments, set(_moment_names(step.online)))
    for name, parameter in step.online.named_parameters():
        own = step.optimizer.state[parameter]
        for moment in ("exp_avg", "exp_avg_sq"):
            # The same memory format as the parameter, which the fused optimizer relies on.
            own[moment] = torch.empty_like(parameter, requires_grad=False)
            own[moment].copy_(moments[f"{name}.{moment}"])
        own["step"] = moments[f"{name}.step"].to(parameter.device, copy=True)


def _moment_names(network: nn.Module) -> Iterator[str]:
    for name, _ in network.named_parameters():
        yield from (f"{name}.step", f"{name}.exp_avg", f"{name}.exp_avg_sq")


def _require_names(found: Mapping[str, Tensor], expected: set[str]) -> None:
    differing = sorted(expected ^ set(found))
    if differing:
        raise _other_network(f"Only one side has the tensors {', '.join(differing[:3])}.")


def _require_same_shapes(network: nn.Module, tensors: Tensors) -> None:
    own = network.state_dict()
    _require_names(tensors, set(own))
    for name, value in own.items():
        if value.shape != tensors[name].shape:
            here, there = tuple(value.shape), tuple(tensors[name].shape)
            raise _other_network(f"Tensor {name} is {there} there and {here} here.")


def _other_network(reason: str) -> MismatchError:
    return MismatchError(
        "The checkpoint holds another network than this run's configuration describes.",
        reason,
        "Resume with the network section of the checkpoint's own state.json, or start a new run.",
    )
