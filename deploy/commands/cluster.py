"""``apexmania cluster``: the machines of one file, up, down, and how they are."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from common.errors import ApexManiaError, UnreachableError
from deploy.options import Json

File = Annotated[
    Path, Parameter(help="The cluster's file, a copy of deploy/cluster/on-premise.yaml.")
]
Address = Annotated[str, Parameter(help="IP address of the machine.")]


def up(file: File) -> int:
    """Prints how to train there."""
    from deploy.cluster import cluster_control, cluster_file  # noqa: PLC0415 - only where it is typed

    found = cluster_file.read_cluster_file(file)
    cluster_control.bring_cluster_up(found, say=_say)
    print(
        f"Up. Next: {found.login(found.head)}, then there: cd apexmania && "
        f".venv/bin/apexmania train --ray auto --listen {found.head}"
    )
    return 0


def down(
    file: File,
    *,
    force: Annotated[
        bool, Parameter(help="Cut off a training that works there.", show_default=False)
    ] = False,
) -> int:
    """Prints each machine that is down."""
    from deploy.cluster import cluster_control, cluster_file  # noqa: PLC0415 - only where it is typed

    found = cluster_file.read_cluster_file(file)
    cluster_control.bring_cluster_down(found, force=force, say=print)
    return 0


def status(file: File, *, json_output: Json = False) -> int:
    """Prints a line for each machine."""
    from deploy.cluster import cluster_control, cluster_file  # noqa: PLC0415 - only where it is typed

    machines = cluster_control.look_at(cluster_file.read_cluster_file(file))
    if json_output:
        print(json.dumps(machines, indent=2))
    else:
        for one in machines:
            code = "same code" if one["same_code"] else "OTHER CODE than the head"
            ray = "in the cluster" if one["in_ray"] else "NOT in the cluster"
            busy = f"{one['games'] - one['games_free']:.0f} of {one['games']:.0f} games driven"
            facts = [one["role"], one["phase"], ray, busy]
            facts += [code, f"Ray {one['ray']}, Python {one['python']}"] if one["ray"] else []
            print(f"{one['address']:<15} {'; '.join(facts)}")
            if one["trouble"]:
                print(f"{'':<15} {one['trouble']}")
            if one["fix"]:
                print(f"{'':<15} fix: {one['fix']}")
    well = all(one["phase"] == "up" and one["in_ray"] for one in machines)
    return 0 if well else UnreachableError.exit_code


def add_actor(file: File, address: Address) -> int:
    """Prints that the machine is up."""
    from deploy.cluster import cluster_control, cluster_edit  # noqa: PLC0415 - only where it is typed

    with cluster_edit.added(file, address) as found:
        cluster_control.require_ready(found, address)
    cluster_control.add_worker(found, address, say=_say)
    print(f"{address} drives along, in a training that runs now and in every later one.")
    return 0


def remove_actor(file: File, address: Address) -> int:
    """Prints that the machine is down."""
    from deploy.cluster import cluster_control, cluster_edit  # noqa: PLC0415 - only where it is typed

    with cluster_edit.removed(file, address) as found:
        pass
    cluster_control.end_worker(found, address)
    print(f"{address} is out of the cluster and of {file}.")
    return 0


def logs(
    file: File,
    *,
    lines: Annotated[int, Parameter(help="Last lines of each log.")] = 20,
) -> int:
    """Prints the end of each machine's logs: its node, and what its actors said."""
    from deploy.cluster import cluster_file, cluster_logs  # noqa: PLC0415 - only where it is typed

    found = cluster_logs.read_logs(cluster_file.read_cluster_file(file), lines=lines)
    for address, text in found.items():
        print(f"##### {address}\n{text}")
    nothing = all(isinstance(text, ApexManiaError) for text in found.values())
    return UnreachableError.exit_code if nothing else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
