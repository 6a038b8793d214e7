"""What this machine can say of its node, for whoever asks over ssh."""

import platform
import socket
from importlib.metadata import version
from typing import Any

import ray
from ray._private.state import GlobalState
from ray._raylet import GcsClientOptions  # type: ignore[attr-defined] # no stubs

from common.contract import code_version
from deploy.cluster.node_plan import NodePlan
from deploy.cluster.node_state import is_supervised, read_state
from deploy.joined_ray import with_cluster_token

_REACH_S = 3.0


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
            report["machines"] = _machines(state.plan)
    return report


def _machines(plan: NodePlan) -> list[dict[str, Any]]:
    """Returns every node that Ray knows alive, empty while its GCS does not answer."""
    host, _, port = plan.gcs_address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except OSError:
        return []
    cluster: Any = GlobalState()  # type: ignore[no-untyped-call]
    with with_cluster_token():
        cluster._initialize_global_state(  # noqa: SLF001 - the public way starts a driver
            GcsClientOptions.create(
                plan.gcs_address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False
            )
        )
        nodes = cluster.node_table()
        free = cluster.available_resources_per_node()
        cluster.disconnect()
    return [
        {
            "address": node["NodeManagerAddress"],
            "learner": node["Resources"].get("learner", 0.0),
            "learner_free": free.get(node["NodeID"], {}).get("learner", 0.0),
            "games": node["Resources"].get("game", 0.0),
            "games_free": free.get(node["NodeID"], {}).get("game", 0.0),
        }
        for node in nodes
        if node["Alive"]
    ]
