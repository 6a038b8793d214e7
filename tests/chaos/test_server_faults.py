"""A run on pretended machines loses its processes and its Redis: all that was acknowledged arrives, once.

The faults and the harness are those of ``make faults``, which prints the table with the longer ones.
"""

import pytest

from tests.support.fault_outcome import assert_holds
from tests.support.fault_rig import FaultRig
from tests.support.fault_scenarios import SCENARIOS, run

pytestmark = [
    pytest.mark.netns,
    pytest.mark.redis,
    pytest.mark.chaos,
    pytest.mark.slow,
]
SHARED = [
    "replay-kill",
    "learner-kill-checkpoint",
    "redis-kill",
    "power-cut-unread",
    "torn-tail",
    "flipped-pixel",
    "flipped-framing",
]


@pytest.mark.parametrize("name", SHARED)
def test_nothing_acknowledged_is_lost_or_doubled(rig: FaultRig, name: str) -> None:
    assert_holds(run(name, rig))


@pytest.mark.parametrize("name", ["disk-full", "ablation-no-resend"])
def test_a_run_of_its_own(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Without sending again, the same books do not agree: a loss would be seen."""
    scenario = SCENARIOS[name]
    with FaultRig(tmp_path_factory.mktemp("faults"), **scenario.rig) as own:  # type: ignore[arg-type]
        outcome = run(name, own)
    assert outcome.holds, outcome
    assert (outcome.lost > 0) == scenario.loses
    assert outcome.signed or not outcome.must_sign, outcome
