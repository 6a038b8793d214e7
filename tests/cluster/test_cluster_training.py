"""A whole cluster as a person has it: one file, up, a training, one machine more, down, nothing left."""

import json

import pytest

from tests.cluster.conftest import Desk
from tests.support.ssh_machines import SshMachine
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(900)]

_RUN = "runs/together"
_LOOK_S = 1.0  # each look takes a process or two from machines that share this one's cores
_TRAIN = (
    "train --preset quickstart --ray auto --listen {address} --run-dir " + _RUN + " "
    "--set evaluation.every_s=0"
)

_SECOND = "train --preset quickstart --ray auto --listen {address}:6399 --run-dir runs/second"


def test_a_training_takes_in_a_machine_that_is_added_while_it_goes_on(desk: Desk) -> None:
    head, worker, late = (desk.machines.machine(name) for name in ("head", "game", "late"))
    desk.write_file(head, worker)
    comments = desk.file.read_text().count("#")

    desk.cluster("up")

    seen = {one["address"]: one for one in _status(desk)}
    assert seen.keys() == {head.address, worker.address}
    assert all(one["phase"] == "up" and one["in_ray"] and one["same_code"] for one in seen.values())
    assert seen[worker.address]["games"] == 1

    _start(head, _TRAIN.format(address=head.address))
    _wait_for_steps(head, "actor-0")
    assert worker.run("ls /root/.apexmania/spool") == "together\n"

    second = head.run(
        f"cd apexmania; .venv/bin/apexmania {_SECOND.format(address=head.address)} 2>&1 || true",
        timeout_s=180,
    )
    assert "A training works on the cluster at" in second
    assert "second" not in head.run("ls apexmania/runs")
    desk.cluster("add-actor", late.address)
    _wait_for_steps(head, "actor-1")
    assert f"- {late.address}\n" in desk.file.read_text()
    assert desk.file.read_text().count("#") == comments
    assert "A training works on this cluster" in desk.cluster("down", check=False)[2]

    worker.apexmania("cluster node stop")
    wait_until(lambda: f"{worker.address} is gone" in _console(head), timeout_s=60, every_s=_LOOK_S)
    worker.apexmania(f"cluster node worker --head {head.address}")
    wait_until(
        lambda: _console(head).count(f"{worker.address} is here: actor-0") == 2,
        timeout_s=60,
        every_s=_LOOK_S,
    )
    _wait_for_steps(head, "actor-0", more=True)

    late.apexmania("cluster node stop")
    wait_until(lambda: f"{late.address} is gone" in _console(head), timeout_s=60, every_s=_LOOK_S)
    _end(head)  # and nobody waits for the one that is gone
    assert "did not end within" not in _console(head)
    summary = json.loads(head.run(f"cat apexmania/{_RUN}/summary.json"))
    assert summary["end_reason"] == "interrupted"
    desk.cluster("down")
    for machine in (head, worker, late):
        assert machine.processes() == []
        assert machine.run("ls /dev/shm /tmp/apexmania-ray 2>/dev/null; true") == "/dev/shm:\n"
        assert machine.run("ls /root/.apexmania/spool /root/ray_* 2>/dev/null; true") == ""
    assert {path.name for path in (desk.folder / "home").rglob("*")} == {
        "ray-token",
        "clusters",
        "known_hosts",
    }


def _status(desk: Desk) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(desk.cluster("status", "--json", check=False)[1])
    return found


def _start(head: SshMachine, words: str) -> None:
    head.run(
        f"cd apexmania; nohup .venv/bin/apexmania {words} > train.log 2>&1 < /dev/null & echo $! > /tmp/train.pid"
    )


def _end(head: SshMachine) -> None:
    head.run("kill -INT $(cat /tmp/train.pid)")
    wait_until(
        lambda: head.run("ps -p $(cat /tmp/train.pid) -o pid= || true") == "",
        timeout_s=90,
        every_s=_LOOK_S,
    )


def _console(head: SshMachine) -> str:
    return head.run("cat apexmania/train.log")


def _wait_for_steps(head: SshMachine, actor: str, *, more: bool = False) -> None:
    """Waits for the first steps of an actor, or for others than it last told of."""
    before = _steps(head, actor) if more else 0
    try:
        wait_until(lambda: _steps(head, actor) not in {0, before}, timeout_s=200, every_s=_LOOK_S)
    except AssertionError as error:
        raise AssertionError(_console(head)) from error


def _steps(head: SshMachine, actor: str) -> int:
    asked = f"cd apexmania; .venv/bin/apexmania status {_RUN} --json 2>/dev/null || true"
    answer = head.run(asked)
    hearts = json.loads(answer)["hearts"] if answer.startswith("{") else {}
    return int(hearts.get(actor, {}).get("env_steps", 0))
