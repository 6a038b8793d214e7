"""The supervisor of one machine's node, with a real Ray, on machines where it may do as it likes."""

import json
from typing import Any

import pytest

from tests.cluster.conftest import Desk
from tests.support.ssh_machines import SshMachine
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(900)]

_LOOK_S = 1.0  # each look takes a process or two from machines that share this one's cores
_NODE = "cd apexmania; .venv/bin/apexmania cluster node"


def test_a_node_comes_up_comes_back_and_goes_without_a_trace(desk: Desk) -> None:
    head, worker = desk.machines.machine("head"), desk.machines.machine("game")
    up = head.apexmania(f"cluster node head --address {head.address}")
    assert f"head {head.address} is up" in up
    assert head.apexmania(f"cluster node head --address {head.address}") == up  # the same process

    refused = _complaint(worker, f"worker --head {head.address}")
    assert "The cluster's token is not on this machine" in refused
    token = head.run("cat .apexmania/ray-token")
    worker.run(f"umask 077; mkdir -p .apexmania; printf %s {token} > .apexmania/ray-token")
    blocker = worker.host.start(
        [
            "python3",
            "-c",
            "import socket, time; s = socket.create_server(('', 7001)); time.sleep(600)",
        ]
    )
    wait_until(lambda: "7001" in worker.run("cat /proc/net/tcp | wc -l; ss -ltn"))
    assert "Ray's port 7001 is taken on this machine" in _complaint(
        worker, f"worker --head {head.address}"
    )
    blocker.kill()
    blocker.wait()
    worker.apexmania(f"cluster node worker --head {head.address} --games 2")
    assert _games(head) == {head.address: 0.0, worker.address: 2.0}

    worker.run("kill -9 $(pgrep -x raylet)")
    wait_until(lambda: _state(worker)["restarts"] >= 1, timeout_s=60, every_s=_LOOK_S)
    wait_until(lambda: _state(worker)["phase"] == "up", timeout_s=240, every_s=_LOOK_S)
    head.run("kill -9 $(pgrep -x gcs_server)")
    wait_until(lambda: _state(head)["restarts"] >= 1, timeout_s=60, every_s=_LOOK_S)
    wait_until(lambda: _state(head)["phase"] == "up", timeout_s=240, every_s=_LOOK_S)
    wait_until(
        lambda: _games(head) == {head.address: 0.0, worker.address: 2.0},
        timeout_s=240,
        every_s=_LOOK_S,
    )

    for machine in (worker, head):
        assert machine.apexmania("cluster node stop") == "The node is down.\n"
        assert machine.apexmania("cluster node stop") == "There is no node here.\n"
        assert machine.processes() == []
        left = "ls -d /tmp/apexmania-ray /dev/shm/* .apexmania/node/gcs 2>/dev/null; true"
        assert machine.run(left) == ""


def test_what_stands_in_the_way_is_named_before_anything_starts(desk: Desk) -> None:
    head, bare = desk.machines.machine("head"), desk.machines.machine("bare", project=False)
    desk.write_file(head, bare)
    code, shown, _ = desk.cluster("status", check=False)
    assert code == 4
    assert f"The project is not on {bare.address}" in shown

    nobody = head.address.rpartition(".")[0] + ".250"
    before = desk.file.read_text()
    code, _, complaint = desk.cluster("add-actor", nobody, check=False)
    assert (code, desk.file.read_text()) == (4, before)
    assert f"{nobody} does not answer to ssh" in complaint

    key = desk.machines.key
    desk.file.write_text(before.replace(str(key), str(desk.machines.other_key())))
    code, _, complaint = desk.cluster("up", check=False)
    assert code == 5
    assert f"{head.address} does not let root in" in complaint
    assert head.processes() == bare.processes() == []


def _complaint(machine: SshMachine, words: str) -> str:
    return machine.run(f"{_NODE} {words} 2>&1 || true", timeout_s=120)


def _state(machine: SshMachine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.run("cat .apexmania/node/node.json"))
    return found


def _report(machine: SshMachine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.apexmania("cluster node status --json"))
    return found


def _games(head: SshMachine) -> dict[str, float]:
    return {one["address"]: one["games"] for one in _report(head).get("machines", ())}
