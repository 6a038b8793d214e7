"""The one file in which a person writes the machines of a cluster: read, checked, edited, made whole."""

import shlex
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from common.errors import ConfigError

PROJECT = Path(__file__).parents[2]
_SHIPPED_USER = "you"
_SHIPPED = "deploy/cluster/on-premise.yaml"


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """A cluster of machines that are there already.

    Attributes:
        path: the file.
        config: everything in it, as ``ray up`` reads it.
        name: of the cluster.
        head: address of the machine with the learner.
        workers: addresses of the machines that drive.
        user: login on all of them.
        key: private key, or None for ssh's own choice.
    """

    path: Path
    config: dict[str, Any]
    name: str
    head: str
    workers: tuple[str, ...]
    user: str
    key: Path | None

    @property
    def machines(self) -> tuple[str, ...]:
        """All addresses, the head first."""
        return (self.head, *self.workers)

    def login(self, address: str) -> str:
        """Returns what a person types to log in to a machine."""
        key = "" if self.key is None else f"-i {shlex.quote(str(self.key))} "
        return f"ssh {key}{self.user}@{address}"


def read_cluster_file(path: Path) -> ClusterFile:
    """Reads a file.

    Raises:
        ConfigError: it is missing, is no cluster's file, or still has the addresses it was shipped with.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unusable(path, " ".join(str(error).split())) from error
    try:
        provider, auth = config["provider"], config["auth"]
        if provider["type"] != "local":
            raise _unusable(path, f"its provider is {provider['type']!r}: that is for ray up alone")
        key = auth.get("ssh_private_key")
        found = ClusterFile(
            path=path,
            config=config,
            name=str(config["cluster_name"]),
            head=_address(path, provider["head_ip"]),
            workers=tuple(_address(path, one) for one in provider["worker_ips"] or ()),
            user=str(auth["ssh_user"]),
            key=None if key is None else Path(key).expanduser(),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise _unusable(path, f"it lacks {error}") from error
    if found.user == _SHIPPED_USER:
        raise ConfigError(
            f"{path} still has the addresses and the login it was shipped with.",
            "they are examples",
            f"write yours under provider and auth: nano {path}",
        )
    if len(set(found.machines)) != len(found.machines):
        raise _unusable(path, "an address is in it twice")
    if found.key is not None and not found.key.exists():
        raise ConfigError(
            f"The private key {found.key} does not exist.",
            f"{path} names it as ssh_private_key",
            f"ssh-keygen -t ed25519 -f {found.key}, then: ssh-copy-id -i {found.key} {found.user}@{found.head}",
        )
    return found


def with_worker(path: Path, address: str) -> str:
    """Returns the text of a file with one worker more, all else, comments too, as it was.

    Args:
        path: the file.
        address: of the new worker.

    Raises:
        ConfigError: the address is none, or is in the file.
    """
    file = read_cluster_file(path)
    if _address(path, address) in file.machines:
        raise ConfigError(
            f"{address} is in {path} already.",
            "a machine has one node",
            f"apexmania cluster status {path}",
        )
    text = path.read_text(encoding="utf-8")
    workers = _workers_node(path, text)
    if workers.flow_style or not workers.value:
        separator = ", " if workers.value else ""
        at = workers.end_mark.index - 1
        return f"{text[:at]}{separator}{address}{text[at:]}"
    last = workers.value[-1]
    at = text.find("\n", last.end_mark.index)
    at = len(text) if at < 0 else at
    return f"{text[:at]}\n{' ' * workers.start_mark.column}- {address}{text[at:]}"


def without_worker(path: Path, address: str) -> str:
    """Returns the text of a file with one worker less, all else as it was.

    Args:
        path: the file.
        address: of the worker.

    Raises:
        ConfigError: it is no worker of the file.
    """
    file = read_cluster_file(path)
    if address not in file.workers:
        raise ConfigError(
            f"{address} is no worker of {path}.",
            f"its workers are {', '.join(file.workers) or 'none'}",
            f"apexmania cluster status {path}",
        )
    text = path.read_text(encoding="utf-8")
    workers = _workers_node(path, text)
    left = [one for one in file.workers if one != address]
    if workers.flow_style or not left:
        start, end = workers.start_mark.index, workers.end_mark.index
        tail = text[end:] if workers.flow_style else "\n" + text[end:].lstrip("\n")
        return f"{text[:start].rstrip() + ' '}[{', '.join(left)}]{tail}"
    item = next(one for one in workers.value if one.value == address)
    lines = text.splitlines(keepends=True)
    del lines[item.start_mark.line]
    return "".join(lines)


def _workers_node(path: Path, text: str) -> yaml.SequenceNode:
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in ("provider", "worker_ips"):
        assert isinstance(node, yaml.MappingNode)  # read_cluster_file saw to it
        node = next(value for key, value in node.value if key.value == name)
    if not isinstance(node, yaml.SequenceNode):
        raise _unusable(path, "worker_ips is empty; write it as worker_ips: []")
    return node


def _address(path: Path, value: object) -> str:
    try:
        return str(ip_address(str(value)))
    except ValueError as error:
        raise ConfigError(
            f"{value!r} is no IP address.",
            f"the machines of {path} are named by address, so that all find each other without DNS",
            "ip -brief address, on that machine, shows it",
        ) from error


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} is no file of a cluster of own machines.", why, f"start from a copy of {_SHIPPED}"
    )
