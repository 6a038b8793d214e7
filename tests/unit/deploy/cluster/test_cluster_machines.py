"""Whether a training works on a cluster, as its head's learner tells."""

import pytest

from deploy.cluster.cluster_machines import is_taken


@pytest.mark.parametrize(("free", "taken"), [(1.0, False), (0.75, True), (0.5, True), (0.0, True)])
def test_whoever_holds_a_part_of_the_learner_holds_the_cluster(*, free: float, taken: bool) -> None:
    head = {"address": "192.168.1.10", "learner": 1.0, "learner_free": free}
    worker = {"address": "192.168.1.21", "learner": 0.0, "learner_free": 0.0}
    assert is_taken([worker, head]) is taken
    assert not is_taken([worker])
