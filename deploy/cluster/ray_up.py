"""``ray up`` as it has to be called: with a token, with the first autoscaler, from the project's folder."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from common.errors import ConfigError, MachineError
from common.machine_home import create_private, machine_home, private_folder, write_private
from deploy.cluster.cluster_file import PROJECT, ClusterFile

_LIMIT_S = 1800.0  # the first `make setup` of a machine downloads 2 GB
_SHOWN_LINES = 15
_TOKEN_MOUNT = "~/.apexmania/ray-token"  # noqa: S105 - a path
_PROJECT_MOUNT = "~/apexmania"


def ray_up(file: ClusterFile) -> None:
    """Sets up the head and starts its node; the head then does the same for the workers.

    A node that is up stays up, with what works on it, and takes in the machines that are new in the file.

    Args:
        file: the cluster.

    Raises:
        ConfigError: this is no checkout of the project.
        MachineError: it failed, with the end of what Ray said.
    """
    folder = cluster_folder()
    log = folder / f"{file.name}.log"
    whole = folder / f"{file.name}.yaml"
    write_private(whole, yaml.safe_dump(_completed(file), sort_keys=False))
    command = [str(Path(sys.executable).parent / "ray"), "up", "-y", "--no-config-cache"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        # The second autoscaler, the default, starts no on-premise workers (Ray 2.60).
        "RAY_UP_enable_autoscaler_v2": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(folder),
    }
    with log.open("w", encoding="utf-8") as output:
        try:
            done = subprocess.run(  # noqa: S603 - our own command line
                [*command, str(whole)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=PROJECT,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _failed(file, log, f"it did not end within {_LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        raise _failed(file, log, f"exit code {done.returncode}")


def cluster_folder() -> Path:
    """Returns where this machine keeps what it needs to reach clusters."""
    return private_folder(machine_home() / "clusters")


def forget_cluster(file: ClusterFile) -> None:
    """Removes what ``ray up`` left on this machine of a cluster that is down."""
    folder = cluster_folder()
    for name in (f"{file.name}.yaml", f"{file.name}.log"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "ray", ignore_errors=True)


def _completed(file: ClusterFile) -> Mapping[str, Any]:
    """Returns the file with this machine's paths in it."""
    if not (PROJECT / "Makefile").exists():
        raise ConfigError(
            f"{PROJECT} is no checkout of the project.",
            "every machine of a cluster gets a copy of the folder that the command runs from",
            "git clone the project, make setup, and use its .venv/bin/apexmania",
        )
    token = machine_home() / "ray-token"
    if not token.exists():
        create_private(token, secrets.token_hex(32))
    mounts = file.config.get("file_mounts", {})
    own = {_PROJECT_MOUNT: str(PROJECT), _TOKEN_MOUNT: str(token)}
    return file.config | {"file_mounts": mounts | own}


def _failed(file: ClusterFile, log: Path, why: str) -> MachineError:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [" ".join(line.split()) for line in lines if line.strip()][-_SHOWN_LINES:]
    return MachineError(
        f"ray up failed for {file.name}.",
        f"{why}; it said: {' / '.join(said)}",
        f"read {log}, then again: apexmania cluster up {file.path}",
    )
