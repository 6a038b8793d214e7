"""A desk from which a cluster of pretended machines is commanded, each with sshd and nothing else running."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.cluster.cluster_file import PROJECT
from tests.support.network_lab import Host, NetworkLab
from tests.support.ssh_machines import SshMachine, SshMachines

SHIPPED = PROJECT / "deploy" / "cluster" / "on-premise.yaml"
_LIMIT_S = 240.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a person sits.

    Attributes:
        host: its place in the network; it shares this machine's files.
        machines: makes the others.
        folder: takes the cluster's file and the person's home.
    """

    host: Host
    machines: SshMachines
    folder: Path

    @property
    def file(self) -> Path:
        """The cluster's file."""
        return self.folder / "my-machines.yaml"

    def write_file(self, head: SshMachine, *workers: SshMachine) -> None:
        """Takes the shipped file and changes in it what a person has to: addresses, login, key."""
        text = SHIPPED.read_text(encoding="utf-8")
        for old, new in {
            "head_ip: 192.168.1.10": f"head_ip: {head.address}",
            "    - 192.168.1.21\n    - 192.168.1.22\n": "".join(
                f"    - {worker.address}\n" for worker in workers
            ),
            "ssh_user: you": "ssh_user: root",
            "~/.ssh/id_ed25519": str(self.machines.key),
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        self.file.write_text(text, encoding="utf-8")

    def apexmania(self, *words: str, check: bool = True) -> tuple[int, str, str]:
        """Runs one of our commands and returns its exit code, what it printed, and what it complained of."""
        done = self.host.run(
            [
                sys.executable,
                "-c",
                "import sys; from deploy.cli import main; sys.exit(main())",
                *words,
            ],
            env={"APEXMANIA_HOME": str(self.folder / "home"), "PYTHONPATH": str(PROJECT)},
            timeout_s=_LIMIT_S,
            check=check,
        )
        return done.returncode, done.stdout, done.stderr

    def cluster(self, command: str, *words: str, check: bool = True) -> tuple[int, str, str]:
        """Runs ``apexmania cluster COMMAND FILE ...``."""
        return self.apexmania("cluster", command, str(self.file), *words, check=check)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    keys = tmp_path / "keys"
    keys.mkdir()
    (tmp_path / "person").mkdir()
    with NetworkLab() as lab:
        yield Desk(lab.host("desk"), SshMachines(lab, keys), tmp_path / "person")
    assert not Path("/tmp/apexmania-ray").exists()
