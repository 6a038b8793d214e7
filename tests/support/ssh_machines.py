"""Pretended machines with sshd: hosts of a network lab that have processes, files and memory of their own.

What such a machine writes to /tmp, /root, /run and /dev/shm lies in memory and goes with it. Its project folder
starts as ``make setup`` would leave it, because there is no network to install anything from: a virtual
environment that takes this one's packages, and the project itself from wherever ``ray up`` copies it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.network_lab import Host, NetworkLab

PROJECT = Path(__file__).parents[2]
_READY_LIMIT_S = 30.0
_START = """\
mount -t tmpfs tmpfs /mnt
for folder in tmp root; do
  mkdir -p /mnt/$folder/upper /mnt/$folder/work
  mount -t overlay overlay -o lowerdir=/$folder,upperdir=/mnt/$folder/upper,workdir=/mnt/$folder/work /$folder
done
chmod 1777 /tmp
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mkdir -p /run/sshd
rm -rf /root/.apexmania /root/.ssh /root/apexmania
hostname {name}
{environment}
/usr/sbin/sshd -D -e -f {config} &
while true; do wait -n || sleep 0.2; done
"""
_ENVIRONMENT = """\
mkdir /root/apexmania
cp -r {venv} /root/apexmania/.venv
touch /root/apexmania/.venv/.installed"""
_SCRIPT = """\
#!/root/apexmania/.venv/bin/python
import sys
from {module} import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class SshMachine:
    """One machine that answers to ssh.

    Attributes:
        host: its place in the network.
        key: private key that opens it.
    """

    host: Host
    key: Path

    @property
    def address(self) -> str:
        """Its address."""
        return self.host.address

    def ssh_words(self) -> list[str]:
        """The command line that opens it, without the command."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        flags = [word for option in options for word in ("-o", option)]
        return ["ssh", "-i", str(self.key), *flags, f"root@{self.address}"]

    def run(self, command: str, *, timeout_s: float = 60.0) -> str:
        """Runs a shell command there, over ssh from its own network, and returns what it printed."""
        return self.host.run([*self.ssh_words(), command], timeout_s=timeout_s).stdout

    def apexmania(self, words: str, *, timeout_s: float = 120.0) -> str:
        """Runs a command of ours there."""
        return self.run(f"cd apexmania && .venv/bin/apexmania {words}", timeout_s=timeout_s)

    def processes(self) -> list[str]:
        """Command lines of what runs there beside PID 1, sshd and the question itself."""
        listed = self.run("ps -eo pid=,args=").splitlines()
        ours = ("sshd", "ps -eo", "bash -e", "sleep 0.2", "sh -c ps")
        return [line for line in listed if not any(word in line for word in ours)]


class SshMachines:
    """Makes machines in a lab, all opened by one throwaway key."""

    def __init__(self, lab: NetworkLab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self.key = folder / "id"
        for name in ("id", "host_key"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        self._venv = _virtual_environment(folder / "venv")

    def machine(self, name: str, *, project: bool = True) -> SshMachine:
        """Starts a machine and returns it once it takes ssh.

        Args:
            name: of its place in the network, and its host name.
            project: whether it has the project already, as after an earlier ``ray up``.
        """
        host = self._lab.host(name)
        config = self._folder / f"sshd-{name}"
        config.write_text(
            f"ListenAddress {host.address}\nHostKey {self._folder / 'host_key'}\n"
            f"AuthorizedKeysFile {self.key}.pub\nStrictModes no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nUsePAM no\nMaxStartups 50\n"
        )
        script = self._folder / f"start-{name}"
        environment = _ENVIRONMENT.format(venv=self._venv) if project else ""
        script.write_text(_START.format(name=name, environment=environment, config=config))
        host.start(
            [
                *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc"),
                *("bash", "-e", script),
            ],
            log=self._folder / f"{name}.log",
            env={"APEXMANIA_HOME": "/root/.apexmania"},
        )
        made = SshMachine(host, self.key)
        self._wait(made)
        if project:
            self._copy_project(made)
        return made

    def other_key(self) -> Path:
        """Returns a private key that opens nothing."""
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / "other"))
        return self._folder / "other"

    def _wait(self, machine: SshMachine) -> None:
        deadline = time.monotonic() + _READY_LIMIT_S
        while machine.host.run([*machine.ssh_words(), "true"], check=False).returncode != 0:
            assert time.monotonic() < deadline, machine.address
            time.sleep(0.1)

    def _copy_project(self, machine: SshMachine) -> None:
        sources = [p for p in PROJECT.iterdir() if not p.name.startswith((".", "runs"))]
        opened = " ".join(machine.ssh_words()[:-1])
        target = f"root@{machine.address}:apexmania/"
        machine.host.run(
            ["rsync", "-a", "--exclude=__pycache__", "-e", opened, *map(str, sources), target]
        )


def _virtual_environment(folder: Path) -> Path:
    """Makes an environment for /root/apexmania with the packages of the one that runs the tests."""
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    site = next((folder / "lib").iterdir()) / "site-packages"
    packages = sysconfig.get_paths()["purelib"]
    (site / "project.pth").write_text(
        f"/root/apexmania\nimport site; site.addsitedir({packages!r})\n"
    )
    for name, module in (("apexmania", "deploy.cli"), ("ray", "ray.scripts.scripts")):
        program = folder / "bin" / name
        program.write_text(_SCRIPT.format(module=module))
        program.chmod(0o755)
    shutil.rmtree(folder / "include", ignore_errors=True)
    return folder


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
