"""A node is ended by whoever holds its lock, whatever its state file says."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cluster.node_control import take_down
from deploy.cluster.node_plan import NodePlan
from deploy.cluster.node_state import NodeState, only_supervisor, read_state, supervisor_process

HOLDER = """
import time
from deploy.cluster.node_state import only_supervisor
with only_supervisor():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_number_left_in_the_state_file_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot it may be anybody's."""
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))
    plan = NodePlan("worker", "10.0.0.2", "10.0.0.1", 1)
    bystander = subprocess.Popen(["sleep", "60"])
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        NodeState(bystander.pid, "up", plan).write()
        assert supervisor_process() == holder.pid
        assert take_down()
        assert holder.wait(10) != 0
        assert bystander.poll() is None
        assert read_state() is None
        NodeState(bystander.pid, "up", plan).write()
        assert supervisor_process() is None
        assert not take_down()
        assert bystander.poll() is None
        with only_supervisor():
            pass
    finally:
        for process in (bystander, holder):
            process.kill()
            process.wait()
        if holder.stdout is not None:
            holder.stdout.close()
