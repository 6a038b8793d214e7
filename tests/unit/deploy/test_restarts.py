import pytest
from pydantic import ValidationError

from common.config import Config
from common.errors import MachineError
from deploy.restarts import Restarts


def test_each_death_is_said_once() -> None:
    restarts = Restarts()
    assert restarts.note({"learner": 0, "actor-0": 0}, learner_steps=0) == []
    (line,) = restarts.note({"learner": 0, "actor-0": 1}, learner_steps=0)
    assert line == "The actor-0 died and was started again (1 times so far)."
    assert restarts.note({"learner": 0, "actor-0": 1}, learner_steps=0) == []


def test_one_that_only_dies_ends_the_run() -> None:
    restarts = Restarts(most=3)
    for count in range(4):
        restarts.note({"learner": count}, learner_steps=0)
    with pytest.raises(MachineError, match="learner died 4 times without a learner step"):
        restarts.note({"learner": 4}, learner_steps=0)


def test_a_learner_step_in_between_forgives() -> None:
    restarts = Restarts(most=3)
    for count in range(50):
        restarts.note({"actor-0": count, "learner": 0}, learner_steps=count)


def test_a_run_without_an_actor_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"actors\.count"):
        Config.model_validate({"actors": {"count": 0}})
