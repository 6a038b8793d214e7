"""A training on a cluster that runs already: joined for the length of a run, and left as it was."""

import ipaddress
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from ray._private import worker as ray_worker

from common.errors import ConfigError, MachineError, UnreachableError
from deploy.cluster.node_plan import TEMPORARY, token_file
from deploy.cluster.node_ports import GCS_PORT
from deploy.cluster.node_state import is_supervised, read_state
from deploy.ray_cluster import (
    WORKER_ENVIRONMENT,
    environment_of,
    read_environment_again,
    working_folder,
)

AUTO = "auto"
LEARNER, GAME = "learner", "game"
"""Resources of the head, and of every machine that drives."""
_REACH_S = 5.0


@contextmanager
def joined_ray(address: str, *, run_folder: Path, logs: Path) -> Iterator[None]:
    """Joins a running cluster for the length of a block; its machines go on afterwards.

    Args:
        address: ``HOST:PORT`` of its GCS, or ``auto`` for the cluster that this machine is a node of.
        run_folder: becomes the working folder, as in a private Ray.
        logs: takes what Ray prints.

    Raises:
        ConfigError: this machine is not the one with the learner.
        UnreachableError: there is no cluster at the address.
        MachineError: Ray did not join.
    """
    found = cluster_address(address)
    with (
        with_cluster_token(),
        working_folder(run_folder),
        (logs / "ray-driver.log").open("a", encoding="utf-8") as chatter,
        redirect_stdout(chatter),
    ):
        try:
            _join(found)
            _require_learner_here(found)
            yield
        finally:
            ray.shutdown()


@contextmanager
def with_cluster_token() -> Iterator[None]:
    """Shows the cluster's token to Ray for the length of a block.

    Raises:
        MachineError: it is not on this machine.
    """
    if not token_file().exists():
        raise MachineError(
            f"The cluster's token is not on this machine: {token_file()} is missing.",
            "a machine gets it when it becomes a node of the cluster",
            "run this on the head, which apexmania cluster up FILE sets up",
        )
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file()),
        "RAY_TMPDIR": str(TEMPORARY),
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
        **WORKER_ENVIRONMENT,
    }
    with environment_of(environment):
        read_environment_again()
        yield


def require_joinable(address: str, *, redis_url: str | None, listens: bool) -> None:
    """Finds out before a run begins whether it can be trained on a cluster.

    Args:
        address: of the cluster, or ``auto``.
        redis_url: the user's own Redis.
        listens: whether the private Redis listens for other machines.

    Raises:
        ConfigError: the cluster's machines could not reach the run's Redis.
        UnreachableError: no cluster answers.
    """
    found = cluster_address(address)
    host = None if redis_url is None else urlsplit(redis_url).hostname
    if listens or (host is not None and not _is_loopback(host)):
        return
    raise ConfigError(
        "The cluster's machines cannot reach the Redis of this run.",
        "it would answer on this machine alone" if redis_url is None else f"{host} is each its own",
        f"apexmania train --ray {address} --listen {found.rpartition(':')[0]}",
    )


def cluster_address(address: str) -> str:
    """Returns ``HOST:PORT`` of a cluster that answers.

    Args:
        address: the same, or ``auto``.

    Raises:
        ConfigError: it is no address.
        UnreachableError: nothing answers there, or this machine is no node of a cluster.
    """
    found = _own_cluster() if address == AUTO else address
    host, _, port = found.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(
            f"--ray {address!r} is no address of a cluster.",
            "it is HOST:PORT of the head, or auto on the head itself",
            f"apexmania train --ray 192.168.1.10:{GCS_PORT}",
        )
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except OSError as error:
        raise UnreachableError(
            f"No Ray cluster answers at {found}.",
            error.strerror or str(error),
            "apexmania cluster status FILE; apexmania cluster up FILE",
        ) from error
    return found


def require_own_node() -> None:
    """Sees that the node of this machine is still there; Ray tells its driver of that by chance.

    Raises:
        MachineError: it ended, and with it the learner and the replay service.
    """
    node = ray_worker.global_worker.node
    assert node is not None, "Ray is joined first"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_REACH_S)
        try:
            probe.connect(node.raylet_socket_name)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise MachineError(
                "The Ray node of this machine ended, and learner and replay service with it.",
                "its GCS or its raylet died; its supervisor starts it again",
                "when apexmania cluster node status says up: apexmania train --resume RUN --ray auto",
            ) from error
        except OSError:
            return  # too busy to answer is not dead


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_cluster() -> str:
    state = read_state() if is_supervised() else None
    if state is None:
        raise UnreachableError(
            "This machine is no node of a cluster.",
            "--ray auto joins the cluster of this machine's own node",
            "apexmania cluster up FILE; or without --ray for this machine alone",
        )
    return state.plan.gcs_address


def _join(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, OSError, ValueError, TimeoutError) as error:
        raise MachineError(
            f"Ray did not join the cluster at {address}.",
            " ".join(str(error).split()) or type(error).__name__,
            "apexmania cluster node status on this machine; the token must be the head's",
        ) from error


def _require_learner_here(address: str) -> None:
    here = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    if not any(node["NodeID"] == here and LEARNER in node["Resources"] for node in nodes):
        raise ConfigError(
            "This machine is not the head of the cluster.",
            "learner, replay service and evaluator work on the machine that starts the training",
            f"start it on {address.rpartition(':')[0]}, where the learner belongs",
        )
