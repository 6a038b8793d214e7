"""Members of a real Ray: who failed is not waited for."""

from pathlib import Path

import pytest
import ray

from common.errors import MachineError
from deploy.fleet import Fleet
from deploy.ray_cluster import private_ray
from tests.support.waiting import wait_until


@ray.remote
class Failing:
    """A member that cannot work."""

    @ray.method
    def run(self) -> None:
        raise MachineError("The game is away.", "it is", "start it")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(120)
def test_an_expendable_member_that_failed_has_ended(tmp_path: Path) -> None:
    with private_ray(num_cpus=1, run_folder=tmp_path, logs=tmp_path):
        fleet = Fleet()
        fleet.add("actor-0", Failing, expendable=True)
        names = fleet.names
        wait_until(lambda: not fleet.still_running(names), timeout_s=60)
        assert list(fleet.take_failures()) == ["actor-0"]
        assert fleet.still_running(names) == []
