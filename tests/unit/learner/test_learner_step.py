"""One learner step: targets, noise, weight decay, precision, and each switch."""

import dataclasses

import pytest
import torch
from torch import Tensor

from common.config import Config, LearnerConfig, NetworkConfig, TargetConfig
from common.errors import MachineError
from common.network import IqnNetwork, Noise
from learner.learner_step import (
    LearnerStep,
    averaged,
    choose_device,
    decay_groups,
    update_target,
)
from tests.support.learner_inputs import (
    CPU,
    TM20,
    make_batch,
    make_network,
    make_step,
    small_config,
)


def state(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_target_starts_equal_and_follows_only_on_its_period() -> None:
    step = make_step(small_config(target={"period_learner_steps": 3}))
    assert same(state(step.online), state(step.target))
    start = state(step.target)
    for seed in range(2):
        step.step(make_batch(seed=seed))
    assert same(state(step.target), start)
    assert not same(state(step.online), start)
    step.step(make_batch(seed=2))
    assert same(state(step.target), state(step.online))
    assert (step.learner_steps, step.target_syncs) == (3, 1)


def test_a_hard_copy_covers_batchnorm_buffers() -> None:
    config = small_config()
    online, target = make_network(config, seed=1), make_network(config, seed=2)
    online.train()
    batch = make_batch()
    online(batch.images, batch.features, torch.rand(8, 4))
    update_target(target, online, TargetConfig())
    assert same(state(online), state(target))
    assert target.state_dict()["trunk.1.running_mean"].abs().sum() > 0


def test_the_fixed_point_of_soft_updates_is_the_online_network() -> None:
    """The original's soft copy skipped buffers: equal networks never agreed."""
    config = small_config()
    online, target = make_network(config, seed=1), make_network(config, seed=2)
    batch = make_batch()
    online.train()(batch.images, batch.features, torch.rand(8, 4))
    for _ in range(400):
        update_target(target, online, TargetConfig(rule="soft", mix=0.1))
    taus = torch.rand(8, 8)
    noise = online.draw_noise(torch.Generator().manual_seed(0))
    for draw in (noise, None):
        torch.testing.assert_close(
            target.eval()(batch.images, batch.features, taus, draw),
            online.eval()(batch.images, batch.features, taus, draw),
            rtol=1e-5,
            atol=1e-6,
        )


def test_soft_updates_move_by_their_share_each_step() -> None:
    step = make_step(small_config(target={"rule": "soft", "mix": 0.25}))
    before = state(step.target)
    step.step(make_batch())
    name = "tau_embedding.weight"
    expected = before[name].lerp(step.online.state_dict()[name], 0.25)
    torch.testing.assert_close(step.target.state_dict()[name], expected)


def test_each_pass_draws_noise_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    step = make_step(small_config())
    seen = []
    forward = IqnNetwork.forward

    def recording(
        network: IqnNetwork, images: Tensor, features: Tensor, taus: Tensor, noise: Noise
    ) -> Tensor:
        seen.append(noise)
        return forward(network, images, features, taus, noise)

    monkeypatch.setattr(IqnNetwork, "forward", recording)
    step.step(make_batch())
    step.step(make_batch())
    draws = [noise[0].inputs for noise in seen]
    assert len(draws) == 6
    assert not any(torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


def test_only_matrices_decay() -> None:
    network = make_network(Config(), TM20)
    decayed, others = decay_groups(network, 0.01)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    assert {names[id(p)].rsplit(".", 1)[1] for p in decayed["params"]} == {"weight", "weight_mu"}
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim == 1 or names[id(p)].endswith("_sigma") for p in others["params"])
    counted = sum(len(list(group["params"])) for group in (decayed, others))
    assert counted == len(list(network.parameters()))


@pytest.mark.parametrize(
    "learner",
    [
        {},
        {"double": False},
        {"munchausen": True},
        {"target": {"rule": "soft"}},
        {"precision": "bfloat16"},
        {"n_tau_train": 16},
    ],
)
@pytest.mark.parametrize(
    "network",
    [{}, {"dueling": False}, {"noisy": False}, {"norm": "none"}, {"norm": "group"}],
)
def test_every_switch_learns(learner: dict[str, object], network: dict[str, object]) -> None:
    config = small_config(**learner, learning_rate={"initial": 3e-3})
    config = config.model_copy(update={"network": config.network.model_copy(update=network)})
    step = make_step(config)
    batch = make_batch()
    batch = dataclasses.replace(batch, returns=batch.returns + 5, discounts=batch.discounts * 0)
    first = float(step.step(batch).loss)
    for _ in range(80):
        result = step.step(batch)
    assert torch.isfinite(result.priorities).all()
    assert float(result.loss) < 0.6 * first


def test_double_chooses_with_the_online_network() -> None:
    batch = make_batch()
    targets = {}
    for double in (True, False):
        step = make_step(small_config(double=double))
        with torch.no_grad():
            for name, tensor in step.online.state_dict().items():
                if name.startswith("advantage.out.bias_mu"):
                    tensor.copy_(torch.tensor([0.0, 0.0, 9.0, 0.0, 0.0]))
                if "sigma" in name:
                    tensor.zero_()
            for name, tensor in step.target.state_dict().items():
                if "sigma" in name:
                    tensor.zero_()
        targets[double] = step._targets(batch)
    assert targets[False].mean() > targets[True].mean()


def test_importance_weights_scale_the_gradient() -> None:
    plain, halved = make_step(small_config()), make_step(small_config())
    batch = make_batch()
    norms = [
        float(step.step(dataclasses.replace(batch, weights=batch.weights * factor)).grad_norm)
        for step, factor in ((plain, 1.0), (halved, 0.5))
    ]
    assert norms[1] == pytest.approx(0.5 * norms[0], rel=1e-5)


def test_the_gradient_is_clipped_to_its_norm() -> None:
    step = make_step(small_config(grad_clip_norm=0.01))
    batch = make_batch()
    result = step.step(dataclasses.replace(batch, returns=batch.returns * 1000))
    assert float(result.grad_norm) > 0.01
    clipped = torch.stack([p.grad.norm() for p in step.online.parameters()]).norm()
    assert float(clipped) == pytest.approx(0.01, rel=1e-3)


def gradient(config: Config, batch_seed: int) -> Tensor:
    step = LearnerStep(
        make_network(config, TM20), config.learner, config.replay, device=CPU, seed=0
    )
    step.step(make_batch(TM20, rows=32, seed=batch_seed))
    return torch.cat([p.grad.flatten() for p in step.online.parameters()])


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_bfloat16_gives_the_same_gradient(norm: str) -> None:
    for seed in range(3):
        gradients = [
            gradient(
                Config(
                    network=NetworkConfig(norm=norm),
                    learner=LearnerConfig(precision=precision, grad_clip_norm=1e9),
                ),
                seed,
            )
            for precision in ("float32", "bfloat16")
        ]
        assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.999


def test_two_learners_with_one_seed_stay_equal() -> None:
    steps = [make_step(small_config()) for _ in range(2)]
    for seed in range(5):
        for step in steps:
            step.step(make_batch(seed=seed))
    assert same(state(steps[0].online), state(steps[1].online))


def test_averaged_is_the_mean_over_steps() -> None:
    step = make_step(small_config())
    results = [step.step(make_batch(seed=seed)) for seed in range(3)]
    means = averaged(results)
    assert means["loss"] == pytest.approx(sum(float(r.loss) for r in results) / 3, rel=1e-6)
    assert set(means) == {"loss", "q_mean", "q_std", "q_max", "td_error", "grad_norm"}


def test_the_learning_rate_reaches_every_group() -> None:
    step = make_step(small_config())
    step.set_learning_rate(0.0)
    before = {name: p.detach().clone() for name, p in step.online.named_parameters()}
    step.step(make_batch())
    assert all(torch.equal(before[name], p) for name, p in step.online.named_parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_a_matter_of_the_machine() -> None:
    with pytest.raises(MachineError, match=r"learner\.device=cpu"):
        choose_device(small_config(device="cuda"))
    assert choose_device(small_config(device="auto")).type == "cpu"
