"""A small network of pretended machines: network namespaces that a switch joins.

Each host has a network of its own, with nothing in it but its loopback and one cable to the switch, which
lies in a namespace of its own: nothing in a lab reaches the machine the tests run on, nor another lab.
Faults are rules of the switch, so a host sees of them what it sees of a bad network: silence.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

PREFIX = "apexlab"
_SWITCH = "switch"
_TOOL_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 20.0
_NAP_S = 0.02
_labs = itertools.count()

Direction = Literal["out", "in"]


@dataclass(slots=True)
class _Rules:
    """What the switch does to one host's packets: it sends them ``out`` and gets them ``in``."""

    cut: set[Direction] = field(default_factory=set)
    lost_percent: int = 0
    only: tuple[str, int] | None = None


class Host:
    """One pretended machine; made by ``NetworkLab.host``."""

    def __init__(self, namespace: str, address: str, port: str) -> None:
        self.namespace = namespace
        self.address = address
        self.port = port
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program on this host to its end and returns what it printed.

        Args:
            command: program and arguments.
            env: added to the environment.
            timeout_s: after so long it is killed, with ``subprocess.TimeoutExpired``.
            check: whether another end than 0 fails the test, with what it printed.
        """
        done = subprocess.run(
            self._inside(command),
            env=os.environ | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def start(
        self,
        command: Sequence[str | Path],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Starts a program on this host, in a session of its own; the lab ends it at the latest.

        Args:
            command: program and arguments; the returned process is the program itself.
            log: file that takes what it prints, appended; without one it is thrown away.
            env: added to the environment.
            cwd: its working directory.
        """
        with (log or Path(os.devnull)).open("ab") as out:
            process = subprocess.Popen(
                self._inside(command),
                env=os.environ | dict(env or {}),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _inside(self, command: Sequence[str | Path]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]


class NetworkLab:
    """Hosts on one switch, removed whole at the end, with every process on them."""

    def __init__(self) -> None:
        number = next(_labs)
        self._stem = f"{PREFIX}-{os.getpid()}-{_birth(os.getpid())}-{number}"
        self._subnet = (
            f"10.77.{(os.getpid() + number) % 256}"  # no two labs meet; this tells logs apart
        )
        self._switch = f"{self._stem}-{_SWITCH}"
        self._hosts: dict[str, Host] = {}
        self._rules: dict[str, _Rules] = {}

    def __enter__(self) -> Self:
        _remove_leftovers()
        _tool("ip", "netns", "add", self._switch)
        _tool("ip", "-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _tool("ip", "-n", self._switch, "link", "set", "bridge", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts.values():
            _remove(host.namespace)
            for process in host.processes:
                process.wait(timeout=_END_TIMEOUT_S)
        _remove(self._switch)

    def host(self, name: str) -> Host:
        """Returns the host of that name, made and joined to the switch at the first call."""
        if name not in self._hosts:
            number = len(self._hosts) + 1
            made = Host(f"{self._stem}-{name}", f"{self._subnet}.{number}", f"port{number}")
            self._hosts[name] = made
            self._rules[made.port] = _Rules()
            self._join(made)
        return self._hosts[name]

    def cut(self, host: Host) -> None:
        """Pulls the host's cable: nothing comes in, nothing goes out, and nobody is told."""
        self._rules[host.port].cut = {"out", "in"}
        self._apply()

    def cut_one_way(self, host: Host, direction: Direction) -> None:
        """Loses what the host sends (``out``) or what is sent to it (``in``)."""
        self._rules[host.port].cut = {direction}
        self._apply()

    def mend(self, host: Host) -> None:
        """Takes back every cut and loss; what ``allow_only`` forbade stays forbidden."""
        rules = self._rules[host.port]
        rules.cut, rules.lost_percent = set(), 0
        self._apply()

    def lose(self, host: Host, percent: int) -> None:
        """Loses so many (1 to 99) of a hundred packets to the host and from it, by chance."""
        self._rules[host.port].lost_percent = percent
        self._apply()

    def allow_only(self, host: Host, *, to: str, port: int) -> None:
        """Lets the host reach one TCP port of one address and nothing else, and nobody reach the host."""
        self._rules[host.port].only = (to, port)
        self._apply()

    def _join(self, host: Host) -> None:
        _tool("ip", "netns", "add", host.namespace)
        _tool(
            *("ip", "-n", self._switch, "link", "add", host.port, "type", "veth"),
            *("peer", "name", "eth0", "netns", host.namespace),
        )
        _tool("ip", "-n", self._switch, "link", "set", host.port, "master", "bridge", "up")
        _tool("ip", "-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _tool("ip", "-n", host.namespace, "link", "set", "lo", "up")
        _tool("ip", "-n", host.namespace, "link", "set", "eth0", "up")

    def _apply(self) -> None:
        """Gives the switch all rules anew, in one transaction."""
        lines = [line for port, rules in self._rules.items() for line in _lines(port, rules)]
        chain = "type filter hook forward priority 0\n" + "\n".join(lines)
        table = "table bridge lab"
        text = f"{table}\ndelete {table}\n{table} {{ chain forward {{\n{chain}\n}}\n}}\n"
        _tool("ip", "netns", "exec", self._switch, "nft", "-f", "-", text=text)


def _lines(port: str, rules: _Rules) -> Iterator[str]:
    sent, got = f'iifname "{port}"', f'oifname "{port}"'
    for direction, packets in (("out", sent), ("in", got)):
        if direction in rules.cut:
            yield f"{packets} drop"
        elif rules.lost_percent:
            yield f"{packets} numgen random mod 100 < {rules.lost_percent} drop"
    if rules.only is not None:
        address, number = rules.only
        for packets in (sent, got):
            yield f"{packets} ether type arp accept"
        yield f"{sent} ip daddr {address} tcp dport {number} accept"
        yield f"{got} ip saddr {address} tcp sport {number} accept"
        for packets in (sent, got):
            yield f"{packets} drop"


def _tool(*command: str, text: str | None = None) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=_TOOL_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _birth(pid: int) -> int:
    """Returns the clock tick a process began at, to tell it from a later one of its number; 0 where none is."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(status.rpartition(")")[2].split()[19])


def _remove(namespace: str) -> None:
    """Kills every process in the namespace by its id, then removes the namespace."""
    deadline = time.monotonic() + _END_TIMEOUT_S
    while (pids := _pids(namespace)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_NAP_S)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def _pids(namespace: str) -> list[int]:
    listed = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
    )
    return [pid for pid in map(int, listed.stdout.split()) if not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def _remove_leftovers() -> None:
    """Removes what labs of processes that are dead left behind."""
    for line in _tool("ip", "netns", "list").splitlines():
        namespace = line.split()[0]
        prefix, *rest = namespace.split("-")
        if prefix == PREFIX and int(rest[1]) != _birth(int(rest[0])):
            _remove(namespace)
