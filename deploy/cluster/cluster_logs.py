"""The logs of all machines of a cluster, from one place."""

from common.errors import ApexManiaError
from deploy.cluster.cluster_control import each
from deploy.cluster.cluster_file import ClusterFile
from deploy.cluster.remote_machine import RemoteMachine

_NODE = "~/.apexmania/node/node.log"
_OF_RAY = "/tmp/apexmania-ray/ray/session_latest/logs"  # noqa: S108 - on the machines


def read_logs(file: ClusterFile, *, lines: int) -> dict[str, str | ApexManiaError]:
    """Returns the end of each machine's logs, or why they cannot be had, by address.

    Args:
        file: the cluster.
        lines: of each log.
    """
    read: dict[str, str] = {}

    def ask(machine: RemoteMachine) -> None:
        logs = f"{_NODE} $(find {_OF_RAY}/ -name 'worker-*' -size +0 2>/dev/null)"
        done = machine.shell(f"tail -v -n {lines} {logs} {_OF_RAY}/monitor.log 2>/dev/null")
        read[machine.address] = done.stdout

    found = read | each(file, file.machines, ask)
    return {address: found[address] for address in file.machines}
