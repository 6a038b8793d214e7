"""``apexmania cluster node``: this machine's part in a cluster."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from common.errors import ConfigError, MachineError
from deploy.options import Json


def node(
    role: Annotated[
        Literal["head", "worker", "stop", "status"],
        Parameter(help="What this machine shall be, or stop, or status."),
    ],
    *,
    head: Annotated[str | None, Parameter(help="Address of the head; a worker needs it.")] = None,
    address: Annotated[
        str | None, Parameter(help="Address of this machine that the others reach.")
    ] = None,
    games: Annotated[
        int | None, Parameter(help="Actors that may drive here: head 0, worker 1 by default.")
    ] = None,
    autoscaling: Annotated[
        Path | None, Parameter(help="On the head, Ray's copy of the cluster's file.")
    ] = None,
    foreground: Annotated[
        bool, Parameter(help="Stay, and start Ray again whenever it ends (systemd).")
    ] = False,
    impatient: Annotated[bool, Parameter(show=False)] = False,
    json_output: Json = False,
) -> int:
    """Prints how the node is."""
    if role == "stop":
        return _stop()
    if role == "status":
        return _status(json_output=json_output)
    from deploy.cluster import admission, node_control, node_plan  # noqa: PLC0415 - Ray only where it starts
    from deploy.cluster.node_supervisor import supervise  # noqa: PLC0415 - same
    from deploy.command_logging import log_to_stderr  # noqa: PLC0415 - same

    if role == "head":
        plan = node_plan.head_plan(address=address, games=games or 0, autoscaling=autoscaling)
    elif head is None:
        raise ConfigError(
            "A worker needs the head's address.",
            "it joins the cluster there",
            "apexmania cluster node worker --head ADDRESS",
        )
    else:
        count = 1 if games is None else games
        plan = node_plan.worker_plan(head=head, address=address, games=count)
    if foreground:
        node_control.require_token(plan)
        with log_to_stderr():
            return 0 if supervise(plan, patient=not impatient) else 1
    state = node_control.bring_up(plan)
    if plan.autoscaling is not None:
        for added in admission.admit_workers(Path(plan.autoscaling)):
            print(f"{added} is new in the cluster")
    print(f"{plan.role} {plan.address} is up, process {state.pid}; {plan.gcs_address}")
    return 0


def _stop() -> int:
    from deploy.cluster.node_control import take_down  # noqa: PLC0415 - Ray only where it is

    print("The node is down." if take_down() else "There is no node here.")
    return 0


def _status(*, json_output: bool) -> int:
    from deploy.cluster.node_report import report_node  # noqa: PLC0415 - Ray only where it is

    report = report_node()
    if json_output:
        print(json.dumps(report, indent=2))
    elif report["phase"] == "down":
        print("There is no node of a cluster on this machine.")
        return MachineError.exit_code
    else:
        for name, value in report.items():
            print(f"{name}: {value}")
    return 0
