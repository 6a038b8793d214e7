"""What the supervisor of this machine's node says about it, and the lock that only one can hold."""

import contextlib
import fcntl
import json
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from common.errors import MachineError
from common.machine_home import private_folder, write_private
from deploy.cluster.node_plan import NodePlan, node_folder

_LOCK = "hhqqi"
"""C's struct flock on 64-bit Linux: type, whence, start, length, process."""
Phase = Literal["starting", "up", "waiting", "failed"]


@dataclass(frozen=True, slots=True)
class NodeState:
    """How the node of this machine is.

    Attributes:
        pid: process of the supervisor.
        phase: ``waiting`` before it starts Ray again, ``failed`` where it gave up.
        plan: what the machine shall be.
        restarts: how often Ray was started again.
        why: last reason for an end of Ray, empty before the first.
        at: wall clock of the change, in seconds.
    """

    pid: int
    phase: Phase
    plan: NodePlan
    restarts: int = 0
    why: str = ""
    at: float = 0.0

    def write(self) -> None:
        """Replaces what was known."""
        fields = asdict(self) | {"plan": self.plan.to_dict(), "at": time.time()}
        write_private(_state_file(), json.dumps(fields, indent=2) + "\n")


def read_state() -> NodeState | None:
    """Returns what the last supervisor wrote, None where there is nothing to read."""
    try:
        fields: dict[str, Any] = json.loads(_state_file().read_text(encoding="utf-8"))
        return NodeState(**{**fields, "plan": NodePlan(**fields["plan"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def forget_state() -> None:
    """Removes what the last supervisor wrote."""
    _state_file().unlink(missing_ok=True)


def log_file() -> Path:
    """Returns where the supervisor and Ray's start say what happens."""
    return private_folder(node_folder()) / "node.log"


def is_supervised() -> bool:
    """Tells whether a supervisor lives on this machine."""
    return supervisor_process() is not None


def supervisor_process() -> int | None:
    """Returns the process that supervises this machine's node, None where there is none.

    The kernel knows who holds the lock; a number in a file may be another process's after a reboot.
    """
    with _lock_file().open("a") as lock:
        asked = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, holder = struct.unpack(_LOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(holder)


@contextlib.contextmanager
def only_supervisor() -> Iterator[None]:
    """Is this machine's only supervisor for the length of a block.

    The process must not ask for its ``supervisor_process`` meanwhile: closing the file ends the lock.

    Raises:
        MachineError: there is one already.
    """
    with _lock_file().open("a") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise MachineError(
                "This machine is a node of a cluster already.",
                f"process {supervisor_process()} keeps it running",
                "apexmania cluster node stop",
            ) from error
        yield


def _lock_file() -> Path:
    return private_folder(node_folder()) / "lock"


def _state_file() -> Path:
    return node_folder() / "node.json"
