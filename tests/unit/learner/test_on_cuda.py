"""What only a GPU shows: copies that arrive later, a step on the device, a checkpoint to and from it."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from common.contract import make_contract
from learner.batch import Batch
from learner.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint
from learner.learner_state import capture, install
from learner.learner_step import LearnerStep, choose_device
from learner.priority_transfer import PriorityTransfer
from tests.support.learner_inputs import SMALL, make_batch, make_network, small_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="torch finds no GPU with CUDA on this machine"
    ),
]

CUDA = torch.device("cuda")
CONFIG = small_config(device="cuda")


def step_on(device: torch.device, *, seed: int = 0) -> LearnerStep:
    network = make_network(CONFIG, seed=seed)
    return LearnerStep(network, CONFIG.learner, CONFIG.replay, device=device, seed=seed)


def batch_on(device: torch.device, *, seed: int = 0) -> Batch:
    batch = make_batch(seed=seed)
    return Batch(**{f.name: getattr(batch, f.name).to(device) for f in fields(Batch)})


def test_priorities_arrive_one_step_later_and_whole() -> None:
    transfer = PriorityTransfer(CUDA)
    sent = [
        (np.arange(8) + n, torch.arange(8, dtype=torch.float32, device=CUDA) * n)
        for n in range(1, 4)
    ]
    arrived = []
    for number, (ids, priorities) in enumerate(sent):
        transfer.push(ids, priorities)
        arrived += transfer.ready()
        assert len(arrived) == number
    arrived += transfer.flush()
    for (ids, priorities), (got_ids, got) in zip(sent, arrived, strict=True):
        assert np.array_equal(ids, got_ids)
        assert np.array_equal(priorities.cpu().numpy(), got)
    assert transfer.flush() == []


def test_a_learner_step_stays_on_the_device_and_moves_the_weights() -> None:
    assert choose_device(CONFIG).type == "cuda"
    step = step_on(CUDA)
    before = {name: value.clone() for name, value in step.online.named_parameters()}
    result = step.step(batch_on(CUDA))
    assert result.priorities.device.type == "cuda"
    assert result.priorities.shape == (8,)
    assert torch.isfinite(result.priorities).all()
    assert any(not torch.equal(before[n], p) for n, p in step.online.named_parameters())
    assert all(torch.isfinite(p).all() for p in step.online.parameters())


def test_a_checkpoint_brings_the_learner_on_the_device_back(tmp_path: Path) -> None:
    step = step_on(CUDA)
    for seed in range(3):
        step.step(batch_on(CUDA, seed=seed))
    checkpoint = Checkpoint(
        progress=Progress(3, 0, 900, 12),
        read_from=40,
        low=50,
        learner=capture(step),
        replay_service=b"service",
        sampler=b"sampler",
        spec=SMALL,
        config=CONFIG,
        terms=make_contract(CONFIG, SMALL).terms(),
    )
    save_checkpoint(tmp_path / "c", checkpoint)
    fresh = step_on(CUDA, seed=99)
    install(fresh, load_checkpoint(tmp_path / "c").learner)
    states = [capture(learner) for learner in (step, fresh)]
    for part in ("online", "target", "optimizer", "generators"):
        ours, theirs = (getattr(state, part) for state in states)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items()), part
    results = [learner.step(batch_on(CUDA, seed=7)) for learner in (step, fresh)]
    # Sums on a GPU may run in another order each time.
    torch.testing.assert_close(results[0].priorities, results[1].priorities)
