"""A machine of the cluster as ssh reaches it, with errors that say what to do."""

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import Any

from common.errors import ApexManiaError, MachineError, MismatchError, UnreachableError
from common.machine_home import machine_home
from deploy.cluster.cluster_file import ClusterFile

_CONNECT_S = 8
_SSH_FAILED = 255
_NOT_FOUND = 127
_OLDEST_PYTHON = (3, 11)
_TOOLS = ("rsync", "make", "python3")
_PROGRAM = "~/apexmania/.venv/bin/apexmania"


@dataclass(frozen=True, slots=True)
class RemoteMachine:
    """One machine.

    Attributes:
        file: the cluster that it belongs to.
        address: where it is.
    """

    file: ClusterFile
    address: str

    def shell(self, command: str, *, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs a shell command there and returns how it ended.

        Args:
            command: for the login's shell.
            timeout_s: seconds that it may take.

        Raises:
            UnreachableError: nothing answers there, or too late.
            MismatchError: it does not take the key, or is another machine than before.
        """
        try:
            done = subprocess.run(  # noqa: S603 - our own command line
                [*self._ssh(), command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(
                f"{self.address} did not finish within {timeout_s:.0f} s.",
                f"it was to run: {command}",
                f"log in and look: {shlex.join(self._ssh())}",
            ) from error
        if done.returncode == _SSH_FAILED:
            raise self._ssh_error(done.stderr)
        return done

    def apexmania(self, words: str, *, timeout_s: float = 60.0) -> str:
        """Runs a command of ours there and returns what it printed.

        Raises:
            MachineError: the project is not there, or the command failed.
        """
        done = self.shell(f"{_PROGRAM} {words}", timeout_s=timeout_s)
        if done.returncode == _NOT_FOUND:
            raise MachineError(
                f"The project is not on {self.address}.",
                f"{_PROGRAM} does not exist there",
                f"apexmania cluster up {self.file.path}",
            )
        if done.returncode != 0:
            raise MachineError(
                f"apexmania {words} failed on {self.address}.",
                " ".join(done.stderr.split())[-500:] or f"exit code {done.returncode}",
                f"apexmania cluster logs {self.file.path}",
            )
        return done.stdout

    def node(self) -> dict[str, Any]:
        """Returns what the machine says of its node; see ``node_report``."""
        report: dict[str, Any] = json.loads(self.apexmania("cluster node status --json"))
        return report

    def require_ready(self) -> tuple[int, int]:
        """Finds out whether a cluster can be set up there, and returns its Python version.

        Raises:
            ApexManiaError: with what it lacks.
        """
        lacking = "; ".join(f"command -v {tool} >/dev/null || echo lacks {tool}" for tool in _TOOLS)
        asked = (
            f"{lacking}; python3 -c 'import sys; print(\"python\", *sys.version_info[:2])'; true"
        )
        said = self.shell(asked).stdout
        lacks = re.findall(r"^lacks (\S+)$", said, re.MULTILINE)
        if lacks:
            raise MachineError(
                f"{self.address} lacks {', '.join(lacks)}.",
                "ray up copies the project by rsync and sets it up by make and python3",
                f"on {self.address}: sudo apt install rsync make python3 python3-venv",
            )
        found = re.search(r"^python (\d+) (\d+)$", said, re.MULTILINE)
        version = (int(found[1]), int(found[2])) if found else (0, 0)
        if version < _OLDEST_PYTHON:
            raise MachineError(
                f"{self.address} has Python {version[0]}.{version[1]}.",
                "apexmania needs 3.11 or later, the same on every machine",
                f"install Python 3.11 on {self.address} as python3",
            )
        return version

    def _ssh(self) -> list[str]:
        options = [
            "BatchMode=yes",
            f"ConnectTimeout={_CONNECT_S}",
            "LogLevel=ERROR",
            # A machine is known from its first answer on.
            "StrictHostKeyChecking=accept-new",
            f"UserKnownHostsFile={machine_home() / 'clusters' / 'known_hosts'}",
        ]
        words = ["ssh", *(word for option in options for word in ("-o", option))]
        if self.file.key is not None:
            words += ["-o", "IdentitiesOnly=yes", "-i", str(self.file.key)]
        return [*words, f"{self.file.user}@{self.address}"]

    def _ssh_error(self, said: str) -> ApexManiaError:
        why = " ".join(said.split()) or "ssh says nothing"
        login = f"{self.file.user}@{self.address}"
        if "Permission denied" in said:
            key = f"-i {self.file.key} " if self.file.key else ""
            return MismatchError(
                f"{self.address} does not let {self.file.user} in.",
                f"it does not know the key: {why}",
                f"ssh-copy-id {key}{login}; the login is auth.ssh_user in {self.file.path}",
            )
        if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
            known = machine_home() / "clusters" / "known_hosts"
            return MismatchError(
                f"Another machine than before answers at {self.address}.",
                "its host key is not the one that was seen first",
                f"where it was set up anew: ssh-keygen -f {known} -R {self.address}",
            )
        return UnreachableError(
            f"{self.address} does not answer to ssh.",
            why,
            f"is it on, and does sshd run there? sudo systemctl enable --now ssh; "
            f"then: {self.file.login(self.address)}",
        )
