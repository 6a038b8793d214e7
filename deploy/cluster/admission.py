"""Lets a running head know of machines that were added to the cluster's file.

Ray reads the file anew while it runs, yet keeps the list of on-premise machines that it was started with, so that
it would try for ever to start a machine more and know none (Ray 2.60). That list is a file, and is read for
each decision.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from ray.autoscaler.tags import NODE_KIND_WORKER, TAG_RAY_NODE_KIND

from deploy.cluster.node_plan import TEMPORARY

_LOCK_S = 20.0
_TAKEN_OFF = "taken-off"  # no kind that Ray would start


def admit_workers(autoscaling: Path) -> list[str]:
    """Brings Ray's list of machines up to the cluster's file and returns the added ones.

    Args:
        autoscaling: Ray's copy of the file.
    """
    config = yaml.safe_load(autoscaling.read_text(encoding="utf-8"))
    state = TEMPORARY / "ray" / f"cluster-{config['cluster_name']}.state"
    if config["provider"].get("type") != "local" or not state.exists():
        return []
    wanted: list[str] = config["provider"]["worker_ips"]
    with FileLock(state.with_suffix(".lock"), timeout=_LOCK_S):
        known: dict[str, dict[str, Any]] = json.loads(state.read_text(encoding="utf-8"))
        kinds = {address: one["tags"].get(TAG_RAY_NODE_KIND) for address, one in known.items()}
        added = [address for address in wanted if kinds.get(address) in {None, _TAKEN_OFF}]
        for address in added:
            known[address] = _terminated(NODE_KIND_WORKER)
        for address, kind in kinds.items():
            if kind == NODE_KIND_WORKER and address not in wanted:
                known[address] = _terminated(_TAKEN_OFF)
        state.write_text(json.dumps(known), encoding="utf-8")
    return added


def _terminated(kind: str) -> dict[str, Any]:
    return {"tags": {TAG_RAY_NODE_KIND: kind}, "state": "terminated"}
