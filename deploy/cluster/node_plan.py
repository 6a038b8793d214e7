"""What this machine shall be in the cluster, and the command line of Ray that makes it so."""

import json
import os
import platform
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import ray
import yaml

from common.errors import ConfigError
from common.machine_home import machine_home
from deploy.cluster.node_ports import GCS_PORT, port_options
from deploy.ray_cluster import WORKER_ENVIRONMENT, absolute_search_path

Role = Literal["head", "worker"]
TEMPORARY = Path("/tmp/apexmania-ray")  # noqa: S108 - Ray's sockets need a short path; made private
_OBJECT_STORE_BYTES = 100_000_000
_ANYWHERE = "192.0.2.1"  # RFC 5737: routed like any other address, and nothing is sent
_HEALTH_CHECKS = {
    # A machine that fell silent is noticed after 10 s; Ray's own values take 63 s (measured).
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One machine's part in the cluster.

    Attributes:
        role: ``head`` has the learner, a ``worker`` drives.
        address: IP address of this machine that the others reach.
        head: IP address of the head.
        games: how many actors may drive here.
        autoscaling: Ray's copy of the cluster's file on the head, from which it starts workers.
        version: of Ray and Python; another one starts the node anew.
    """

    role: Role
    address: str
    head: str
    games: int
    autoscaling: str | None = None
    version: str = f"ray {ray.__version__}, python {platform.python_version()}"

    def to_dict(self) -> dict[str, Any]:
        """Returns what ``NodePlan(**fields)`` reads back."""
        return asdict(self)

    @property
    def gcs_address(self) -> str:
        """Where a training or another node finds the cluster."""
        return f"{self.head}:{GCS_PORT}"

    def command(self) -> list[str]:
        """Returns the command line that lasts as long as the node does."""
        resources = {"game": self.games} if self.games else {}
        options = [
            f"--node-ip-address={self.address}",
            f"--object-store-memory={_OBJECT_STORE_BYTES}",
            *port_options(head=self.role == "head"),
        ]
        if self.role == "head":
            resources["learner"] = 1
            options.append("--head")
            if self.autoscaling:
                options.append(f"--autoscaling-config={self.autoscaling}")
        else:
            options.append(f"--address={self.gcs_address}")
        ray_program = str(Path(sys.executable).parent / "ray")
        command = [ray_program, "start", "--block", "--log-color=false", *options]
        return [*command, f"--resources={json.dumps(resources)}"]

    def environment(self) -> dict[str, str]:
        """Returns the whole environment of that command, which Ray hands on to every worker."""
        special = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token_file()),
            "RAY_TMPDIR": str(TEMPORARY),
            # The patch release need not be the same: what it could break, the contract notices.
            "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
            "PYTHONPATH": absolute_search_path(os.environ.get("PYTHONPATH", "")),
            **WORKER_ENVIRONMENT,
        }
        if self.role == "head":
            special |= {
                **_HEALTH_CHECKS,
                # Without it the cluster dies with one process of the head. Never the run's Redis:
                # the GCS ends four seconds after its Redis does.
                "RAY_gcs_storage": "rocksdb",
                "RAY_gcs_storage_path": str(gcs_folder()),
                # The second autoscaler, which is the default, forgets the head of an on-premise
                # cluster and starts no workers (Ray 2.60).
                "RAY_enable_autoscaler_v2": "0",
            }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return kept | special


def node_folder() -> Path:
    """Returns where this machine's node keeps its state, its log and its lock."""
    return machine_home() / "node"


def gcs_folder() -> Path:
    """Returns where the head keeps what the cluster is, for a restart of its own processes."""
    return node_folder() / "gcs"


def token_file() -> Path:
    """Returns where the cluster's token is on every machine of it."""
    return machine_home() / "ray-token"


def head_plan(*, address: str | None, games: int, autoscaling: Path | None) -> NodePlan:
    """Returns the plan of the head.

    Args:
        address: that others reach; without it the one in Ray's copy of the cluster's file, or else
            the one on the way to other networks.
        games: how many actors may drive here, beside the learner.
        autoscaling: Ray's copy of the cluster's file.

    Raises:
        ConfigError: that copy is missing or is none.
    """
    copy = None if autoscaling is None else autoscaling.expanduser()
    found = address or _head_of(copy) or address_towards(_ANYWHERE)
    return NodePlan("head", found, found, games, None if copy is None else str(copy))


def worker_plan(*, head: str, address: str | None, games: int) -> NodePlan:
    """Returns the plan of a machine that drives.

    Args:
        head: the head's address.
        address: of this machine; without it the one on the way to the head.
        games: how many actors may drive here.

    Raises:
        ConfigError: there is no way to the head.
    """
    return NodePlan("worker", address or address_towards(head), head, games)


def address_towards(towards: str) -> str:
    """Returns the address that this machine would send from.

    Args:
        towards: where to.

    Raises:
        ConfigError: there is no way there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, GCS_PORT))
        except OSError as error:
            raise ConfigError(
                f"This machine has no way to {towards}.",
                error.strerror or str(error),
                "name its own address: apexmania cluster node ROLE --address ADDRESS",
            ) from error
        name: str = probe.getsockname()[0]
    return name


def _head_of(copy: Path | None) -> str | None:
    if copy is None:
        return None
    try:
        config = yaml.safe_load(copy.read_text(encoding="utf-8"))
        address = config["provider"].get("head_ip")
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{copy} is not what ray up writes there.",
            str(error),
            "apexmania cluster up FILE, or apexmania cluster node head without --autoscaling",
        ) from error
    return None if address is None else str(address)
