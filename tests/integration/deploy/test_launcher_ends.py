"""Ends of a run that are no success, with a real Redis, a real Ray and members that misbehave."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from common.config import Config
from common.errors import MachineError
from deploy import launcher
from deploy.console import PlainConsole
from deploy.fleet import Fleet
from deploy.interrupts import Interrupts
from deploy.launcher import LEARNER, Launcher, open_contract
from deploy.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.ray, pytest.mark.timeout(300)]


class _OneMember(Launcher):
    """A launch whose fleet is one member that does what the test says."""

    behaviour: Callable[[], None]

    def _start(self, fleet: Fleet, url: str) -> None:  # noqa: ARG002 - the launcher's signature
        behaviour = self.behaviour

        class Member:
            @ray.method
            def run(self) -> None:
                behaviour()

        fleet.add(LEARNER, ray.remote(Member))


def _launcher(path: Path, url: str, behaviour: Callable[[], None], **run: Any) -> Launcher:
    folder = RunFolder(path / f"run-{time.time_ns()}")
    folder.path.mkdir()
    config = Config.model_validate({"run": run})
    folder.prepare(config)
    made = _OneMember(
        folder=folder,
        contract=open_contract(config),
        console=PlainConsole(Console(stderr=True)),
        redis_url=url,
        resume=False,
    )
    made.behaviour = behaviour
    return made


def test_a_learner_that_does_not_drain_is_no_success(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_DRAIN_LIMIT_S", 0.5)
    monkeypatch.setattr(launcher, "_STOP_LIMIT_S", 0.5)

    def never_ends() -> None:
        time.sleep(600)

    run = _launcher(tmp_path, redis_url, never_ends, max_minutes=0.01)
    with (
        Interrupts() as interrupts,
        pytest.raises(MachineError, match=r"(?s)no last checkpoint.*max_minutes reached"),
    ):
        run.run(interrupts)
    assert not run.outcome.complete
