"""What this machine can say of its node, for whoever asks over ssh."""

import platform
from importlib.metadata import version
from typing import Any

import ray

from common.contract import code_version
from deploy.cluster.cluster_machines import machines_of
from deploy.cluster.node_state import is_supervised, read_state


def report_node() -> dict[str, Any]:
    """Returns versions, the node's state and, on the head, every machine that Ray counts."""
    state = read_state() if is_supervised() else None
    report: dict[str, Any] = {
        "apexmania": version("apexmania"),
        "code_version": code_version(),
        "ray": ray.__version__,
        "python": platform.python_version(),
        "phase": "down" if state is None else state.phase,
    }
    if state is not None:
        report |= {
            "role": state.plan.role,
            "address": state.plan.address,
            "restarts": state.restarts,
            "why": state.why,
        }
        if state.plan.role == "head" and state.phase == "up":
            report["machines"] = machines_of(state.plan.gcs_address)
    return report
