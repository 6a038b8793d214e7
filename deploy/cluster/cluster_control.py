"""Brings a cluster up and down, and adds machines to it and takes them off while it works."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from common.errors import ApexManiaError, ConfigError, MachineError, MismatchError
from deploy.cluster.cluster_file import ClusterFile
from deploy.cluster.cluster_machines import is_taken
from deploy.cluster.ray_up import forget_cluster, ray_up
from deploy.cluster.remote_machine import RemoteMachine

Say = Callable[[str], None]
_JOIN_LIMIT_S = 900.0  # the first `make setup` takes minutes
_POLL_S = 3.0
_AT_ONCE = 16
_LEFT_BY_RAY_UP = "ray_bootstrap_key.pem ray_bootstrap_config.yaml"
_MONITOR_LOG = "/tmp/apexmania-ray/ray/session_latest/logs/monitor.*"  # noqa: S108 - on the head
_PACKAGES = "common replay_server actors learner deploy"


def bring_cluster_up(file: ClusterFile, *, say: Say) -> None:
    """Sets up every machine and starts its node; machines that are up stay up.

    Args:
        file: the cluster.
        say: tells the person what goes on.

    Raises:
        ApexManiaError: a machine cannot be reached or set up, or did not join.
    """
    _require_ready(file, file.machines)
    say(
        f"{len(file.machines)} machines answer. Setting up {file.head}, which takes minutes once ..."
    )
    each(file, file.machines, _remove_old_code)
    ray_up(file)
    say(f"{file.head} is up. It sets up the others ...")
    wait_until_joined(file, file.workers, say=say)


def add_worker(file: ClusterFile, address: str, *, say: Say) -> None:
    """Has the head set up and start one machine more, while it works.

    Args:
        file: the cluster, with the new machine in it.
        address: of the new machine.
        say: tells the person what goes on.

    Raises:
        ApexManiaError: the machine cannot be reached or set up, or did not join.
    """
    ray_up(file)
    say(f"{file.head} sets up {address} ...")
    wait_until_joined(file, [address], say=say)


def bring_cluster_down(file: ClusterFile, *, force: bool, say: Say) -> None:
    """Ends every node, the head's first because it would start the others again.

    Args:
        file: the cluster.
        force: whether a training that works there may be cut off.
        say: tells the person what goes on.

    Raises:
        ConfigError: a training works there.
        ApexManiaError: a machine could not be reached; all others are down.
    """
    if not force:
        _require_idle(file)
    failures = each(file, [file.head], _end_head) | each(file, file.workers, _end_node)
    for address in file.machines:
        say(f"{address}: {'failed' if address in failures else 'down'}")
    if failures:
        address, error = next(iter(failures.items()))
        raise MachineError(
            f"{len(failures)} of {len(file.machines)} machines may still have a node: {', '.join(failures)}.",
            f"{address}: {error.what} ({error.why})",
            f"when it is back: apexmania cluster down {file.path}",
        )
    forget_cluster(file)


def end_worker(file: ClusterFile, address: str) -> None:
    """Ends the node of one machine that is in the file no more.

    Raises:
        ApexManiaError: it cannot be reached, or the head could not be told.
    """
    ray_up(file)
    _end_node(RemoteMachine(file, address))


def wait_until_joined(file: ClusterFile, addresses: Iterable[str], *, say: Say) -> None:
    """Waits until the head counts machines as its own.

    Raises:
        MachineError: one did not join, with what the head says of it.
    """
    head, missing = RemoteMachine(file, file.head), set(addresses)
    deadline = time.monotonic() + _JOIN_LIMIT_S
    while missing:
        joined = missing & {one["address"] for one in head.node().get("machines", ())}
        for address in sorted(joined):
            say(f"{address} is up.")
        missing -= joined
        if missing and time.monotonic() > deadline:
            address = min(missing)
            seen = head.shell(f"tail -n 400 {_MONITOR_LOG} | grep -F {address} | tail -n 5").stdout
            raise MachineError(
                f"{', '.join(sorted(missing))} did not join within {_JOIN_LIMIT_S:.0f} s.",
                f"the head reaches every worker by ssh and says of {address}: {' '.join(seen.split())}",
                f"on {file.head}: ssh -i ~/ray_bootstrap_key.pem {file.user}@{address}; "
                f"apexmania cluster logs {file.path}",
            )
        if missing:
            time.sleep(_POLL_S)


def look_at(file: ClusterFile) -> list[dict[str, Any]]:
    """Returns how each machine is: its node, its versions, and whether Ray counts it."""
    reports: dict[str, dict[str, Any]] = {}

    def ask(machine: RemoteMachine) -> None:
        reports[machine.address] = machine.node()

    failures = each(file, file.machines, ask)
    head = reports.get(file.head, {})
    counted = {one["address"]: one for one in head.get("machines", ())}
    found = []
    for address in file.machines:
        report, error = reports.get(address, {}), failures.get(address)
        ray = counted.get(address, {})
        found.append(
            {
                "address": address,
                "role": "head" if address == file.head else "worker",
                "phase": report.get("phase", "unreachable"),
                "in_ray": address in counted,
                "games": ray.get("games", 0.0),
                "games_free": ray.get("games_free", 0.0),
                "restarts": report.get("restarts", 0),
                "python": report.get("python"),
                "ray": report.get("ray"),
                "same_code": bool(head) and report.get("code_version") == head["code_version"],
                "trouble": report.get("why", "") if error is None else f"{error.what} {error.why}",
                "fix": "" if error is None else error.fix,
            }
        )
    return found


def each(
    file: ClusterFile, addresses: Iterable[str], do: Callable[[RemoteMachine], object]
) -> dict[str, ApexManiaError]:
    """Does something on several machines at once and returns what failed, by address."""

    def attempt(address: str) -> ApexManiaError | None:
        try:
            do(RemoteMachine(file, address))
        except ApexManiaError as error:
            return error
        return None

    wanted = list(addresses)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        ended = zip(wanted, pool.map(attempt, wanted), strict=True)
        return {address: error for address, error in ended if error is not None}


def require_ready(file: ClusterFile, address: str) -> None:
    """Finds out whether one machine can be set up.

    Raises:
        ApexManiaError: with what it lacks.
    """
    _require_ready(file, [address])


def _require_ready(file: ClusterFile, addresses: Iterable[str]) -> None:
    versions: dict[str, tuple[int, int]] = {}

    def ask(machine: RemoteMachine) -> None:
        versions[machine.address] = machine.require_ready()

    failures = each(file, addresses, ask)
    if failures:
        raise _all_of(list(failures.values()))
    if len(set(versions.values())) > 1:
        shown = ", ".join(f"{address} {a}.{b}" for address, (a, b) in sorted(versions.items()))
        raise MismatchError(
            "The machines have different versions of Python.",
            f"Ray needs the same one everywhere: {shown}",
            "install the same python3 on all of them",
        )


def _all_of(errors: Sequence[ApexManiaError]) -> ApexManiaError:
    """Returns one error for several machines, so that all can be mended before the next attempt."""
    first, *others = errors
    if not others:
        return first
    return type(first)(
        f"{len(errors)} machines cannot be set up.",
        "\n       ".join(f"{error.what} {error.why}" for error in errors),
        "\n       ".join(dict.fromkeys(error.fix for error in errors)),
    )


def _require_idle(file: ClusterFile) -> None:
    try:
        machines = RemoteMachine(file, file.head).node().get("machines", ())
    except ApexManiaError:
        return  # a head that does not say so trains nothing that could be ended in order
    if is_taken(machines):
        raise ConfigError(
            "A training works on this cluster.",
            "it would be cut off without a last checkpoint",
            f"end it by Ctrl-C on {file.head}; or: apexmania cluster down {file.path} --force",
        )


def _remove_old_code(machine: RemoteMachine) -> None:
    """Removes modules that a newer version has no more, which rsync would leave; not from a running node."""
    asked = (
        "~/apexmania/.venv/bin/apexmania cluster node status --json 2>/dev/null "
        '| grep -q \'"phase": "down"\''
    )
    machine.shell(f"{asked} && cd ~/apexmania && rm -rf {_PACKAGES}; true")


def _end_head(machine: RemoteMachine) -> None:
    _end_node(machine)
    machine.shell(f"cd && rm -f {_LEFT_BY_RAY_UP}; rm -rf /tmp/ray_ssh_*")


def _end_node(machine: RemoteMachine) -> None:
    machine.apexmania("cluster node stop")
