"""Brings the node of this machine up beside whoever asks, and down again."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from common.errors import MachineError, MismatchError, UnreachableError
from common.machine_home import create_private, machine_home
from deploy.cluster.node_plan import NodePlan, token_file
from deploy.cluster.node_ports import GCS_PORT, require_free_ports
from deploy.cluster.node_state import (
    NodeState,
    forget_state,
    is_supervised,
    log_file,
    read_state,
    supervisor_process,
)

_UP_LIMIT_S = 90.0
_DOWN_LIMIT_S = 40.0
_POLL_S = 0.2
_REACH_S = 5.0
_PROGRAM = str(Path(sys.executable).parent / "apexmania")


def bring_up(plan: NodePlan) -> NodeState:
    """Starts the node in the background and returns once it is up; one that runs so already stays.

    Args:
        plan: what this machine shall be.

    Raises:
        MachineError: a port is taken, or Ray did not start.
        MismatchError: the head has another version of Ray or Python.
        UnreachableError: the head does not answer.
    """
    state = read_state()
    if is_supervised():
        if state is not None and state.plan == plan:
            return _wait_until_up(None)
        take_down()
    require_token(plan)
    require_free_ports(head=plan.role == "head")
    if plan.role == "worker":
        _require_head(plan.head)
    forget_state()
    with log_file().open("ab") as log:
        supervisor = subprocess.Popen(  # noqa: S603 - our own command line
            [_PROGRAM, *foreground_words(plan)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _wait_until_up(supervisor)


def foreground_words(plan: NodePlan) -> list[str]:
    """Returns the command that is the supervisor of a node, its first start decisive."""
    words = ["cluster", "node", plan.role, "--foreground", "--impatient"]
    words += ["--address", plan.address, "--games", str(plan.games)]
    words += ["--head", plan.head] if plan.role == "worker" else []
    words += ["--autoscaling", plan.autoscaling] if plan.autoscaling else []
    return words


def take_down() -> bool:
    """Ends the node and everything that it started; returns whether there was one.

    Raises:
        MachineError: the supervisor did not end.
    """
    process = supervisor_process()
    if process is None:
        forget_state()
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_LIMIT_S
    while is_supervised():
        if time.monotonic() > deadline:
            raise MachineError(
                f"The node of this machine did not end within {_DOWN_LIMIT_S:.0f} s.",
                f"process {process} still holds it",
                f"kill -9 {process}, then: apexmania cluster node stop",
            )
        time.sleep(_POLL_S)
    forget_state()
    _remove_empty_spools()
    return True


def _remove_empty_spools() -> None:
    """Removes what actors that were ended with the node left of folders; what could not be sent stays."""
    spools = machine_home() / "spool"
    for folder in [*sorted(spools.rglob("*"), reverse=True), spools]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def require_token(plan: NodePlan) -> None:
    """Makes the cluster's token on the head where there is none, and keeps it private.

    Raises:
        MachineError: a worker has none.
    """
    file = token_file()
    if plan.role == "head" and not file.exists():
        create_private(file, secrets.token_hex(32))
    if not file.exists():
        raise MachineError(
            f"The cluster's token is not on this machine: {file} is missing.",
            "every machine of a cluster shows the same token",
            f"copy it from the head, readable for you alone: scp {plan.head}:.apexmania/ray-token {file}; "
            f"chmod 600 {file}",
        )
    file.chmod(0o600)


def _require_head(head: str) -> None:
    try:
        socket.create_connection((head, GCS_PORT), timeout=_REACH_S).close()
    except OSError as error:
        raise UnreachableError(
            f"The head does not answer at {head}:{GCS_PORT}.",
            f"{error.strerror or error}: it is not up, or a firewall is between",
            "on the head: apexmania cluster node status; its ports are listed in docs/cluster.md",
        ) from error


def _wait_until_up(supervisor: "subprocess.Popen[bytes] | None") -> NodeState:
    deadline = time.monotonic() + _UP_LIMIT_S
    while time.monotonic() < deadline:
        state = read_state()
        if state is not None and state.phase == "up":
            return state
        if supervisor is not None and supervisor.poll() is not None:
            break
        time.sleep(_POLL_S)
    state = read_state()
    why = state.why if state is not None and state.why else "it said nothing"
    if supervisor is not None and supervisor.poll() is None:
        take_down()
    if "Version mismatch" in why:
        raise MismatchError(
            "This machine and the head have different versions of Ray or Python.",
            why,
            "install the same version of both: make setup PYTHON=python3.11 on both",
        )
    raise MachineError(
        "Ray did not start on this machine.",
        why,
        f"read {log_file()}; apexmania doctor",
    )
