"""Ends of a run that are no success, with a real Redis, a real Ray and members that misbehave."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from common.config import Config
from common.errors import ConfigError, MachineError
from common.keys import Keys
from deploy import launcher, training
from deploy.console import PlainConsole
from deploy.fleet import Fleet
from deploy.interrupts import Interrupts
from deploy.launcher import Launcher, open_contract
from deploy.members import LEARNER, Members
from deploy.restarts import Restarts
from deploy.run_folder import RunFolder, point_latest
from deploy.run_name import NameTakenError, require_free_name
from deploy.run_redis import RunRedis
from deploy.train_plan import TrainRequest
from deploy.training import run_training
from replay_server.connection import connect
from replay_server.contract_store import get_contract, put_contract

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.ray, pytest.mark.timeout(300)]


class _OneMember(Members):
    """Members of which there is one, that does what the test says."""

    def __init__(self, fleet: Fleet, behaviour: Callable[[], None]) -> None:
        self._fleet = fleet
        self._behaviour = behaviour

    def start(self, *, resume: bool) -> None:  # noqa: ARG002 - as Members has it
        behaviour = self._behaviour

        class Member:
            @ray.method
            def run(self) -> None:
                behaviour()

        self._fleet.add(LEARNER, ray.remote(Member))


class _Launcher(Launcher):
    """A launch whose one member misbehaves."""

    behaviour: Callable[[], None]

    def _members(self, fleet: Fleet, redis: RunRedis) -> Members:  # noqa: ARG002 - as Launcher has it
        return _OneMember(fleet, self.behaviour)


def _launcher(path: Path, url: str, behaviour: Callable[[], None], **run: Any) -> Launcher:
    folder = RunFolder(path / f"run-{time.time_ns()}")
    folder.path.mkdir()
    config = Config.model_validate({"run": run})
    folder.prepare(config)
    made = _Launcher(
        folder=folder,
        contract=open_contract(config),
        console=PlainConsole(Console(stderr=True)),
        redis_url=url,
        resume=False,
    )
    made.behaviour = behaviour
    return made


def test_a_new_run_does_not_take_the_name_of_another_one(tmp_path: Path, redis_url: str) -> None:
    run = _launcher(tmp_path, redis_url, lambda: None)
    connection = connect(redis_url, name="test")
    keys = Keys(run._folder.name)
    other = open_contract(Config.model_validate({"seed": 5}))
    assert put_contract(connection, keys, other, new_run=True)
    with (
        Interrupts() as interrupts,
        pytest.raises(ConfigError, match=r"(?s)name 'run-\d+'.*--run-dir.*--resume"),
    ):
        run.run(interrupts)
    assert get_contract(connection, keys) == other
    assert connection.get(keys.control) is None


def test_a_taken_name_is_found_before_a_folder_is_made(tmp_path: Path, redis_url: str) -> None:
    path = tmp_path / f"run-{time.time_ns()}"
    contract = open_contract(Config())
    put_contract(connect(redis_url, name="test"), Keys(path.name), contract, new_run=True)
    with pytest.raises(ConfigError, match="already holds a run with the name"):
        run_training(TrainRequest(run_dir=path, redis_url=redis_url))
    assert not path.exists()


@pytest.mark.parametrize("kept", [None, "notes.txt"])
def test_the_slower_of_two_starts_with_one_name_leaves_nothing(
    tmp_path: Path,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kept: str | None,
) -> None:
    earlier = RunFolder(tmp_path / "earlier")
    earlier.path.mkdir()
    earlier.prepare(Config())
    point_latest(earlier)
    path = tmp_path / f"run-{time.time_ns()}"
    if kept is not None:
        path.mkdir()
        (path / kept).write_text("not ours")
    contract = open_contract(Config())

    def other_start(url: str, run: str) -> None:
        """Looks, as before, finds the name free, and then the other start is faster."""
        require_free_name(url, run)
        put_contract(connect(url, name="test"), Keys(run), contract, new_run=True)

    monkeypatch.setattr(training, "require_free_name", other_start)
    with pytest.raises(NameTakenError):
        run_training(TrainRequest(run_dir=path, redis_url=redis_url))
    assert "--resume" not in capsys.readouterr().err
    if kept is None:
        assert not path.exists()
        assert (tmp_path / "latest").resolve() == earlier.path
    else:
        assert (path / kept).read_text() == "not ours"


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


def test_a_member_that_only_dies_ends_the_run(
    tmp_path: Path,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deploy.watch.Restarts", partial(Restarts, most=1))

    def dies() -> None:
        os._exit(1)

    run = _launcher(tmp_path, redis_url, dies, max_minutes=3)
    with (
        Interrupts() as interrupts,
        pytest.raises(MachineError, match=r"learner died \d times without a learner step"),
    ):
        run.run(interrupts)
