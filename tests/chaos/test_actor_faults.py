"""Actors on pretended machines die, are cut off and err: all that was acknowledged arrives, once.

The faults and the harness are those of ``make faults``, which prints the table with the longer ones.
"""

import pytest

from tests.support.fault_outcome import assert_holds
from tests.support.fault_rig import FaultRig
from tests.support.fault_scenarios import run

pytestmark = [
    pytest.mark.netns,
    pytest.mark.redis,
    pytest.mark.chaos,
    pytest.mark.slow,
]
SHARED = [
    "actor-kill",
    "partition-both-5",
    "partition-out-5",
    "partition-in-5",
    "clock-back",
    "two-of-a-name",
    "corrupt-weights",
    "old-code",
]


@pytest.mark.parametrize("name", SHARED)
def test_nothing_acknowledged_is_lost_or_doubled(rig: FaultRig, name: str) -> None:
    assert_holds(run(name, rig))
