"""The machines that a cluster counts, asked without taking part in it, and whether there is room for a run."""

import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ray._private.state import GlobalState
from ray._raylet import GcsClientOptions  # type: ignore[attr-defined] # no stubs

from common.errors import ConfigError
from deploy.joined_ray import cluster_address, with_cluster_token

_REACH_S = 3.0
_PATIENCE_S = 8.0  # a training that was killed leaves the cluster some seconds later
_POLL_S = 0.5
_WHOLE = 1.0


def machines_of(address: str) -> list[dict[str, Any]]:
    """Returns every machine that Ray counts alive, empty while its GCS does not answer.

    Args:
        address: ``HOST:PORT`` of the GCS.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except OSError:
        return []
    cluster: Any = GlobalState()  # type: ignore[no-untyped-call]
    with with_cluster_token():
        cluster._initialize_global_state(  # noqa: SLF001 - the public way starts a driver
            GcsClientOptions.create(
                address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False
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


def is_taken(machines: Iterable[Mapping[str, Any]]) -> bool:
    """Returns whether a training works there: one fills the learner of the head."""
    return any(one["learner"] and one["learner_free"] < _WHOLE for one in machines)


def require_room(address: str, *, patience_s: float = _PATIENCE_S) -> None:
    """Refuses a second training on a cluster, which would wait for the first one's end without a word.

    Args:
        address: of the cluster, or ``auto``.
        patience_s: for how long another training may still be leaving.

    Raises:
        ConfigError: a training works there, and stays.
    """
    found = cluster_address(address)
    deadline = time.monotonic() + patience_s
    while is_taken(machines_of(found)):
        if time.monotonic() > deadline:
            host = found.rpartition(":")[0]
            raise ConfigError(
                f"A training works on the cluster at {found} already.",
                "learner, replay service and evaluator of one training fill the head",
                f"end it by Ctrl-C on {host}; what it is: apexmania status, on {host}",
            )
        time.sleep(_POLL_S)
