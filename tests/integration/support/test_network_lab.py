"""The lab's faults are what they say, and a lab leaves nothing behind."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.network_lab import PREFIX, Host, NetworkLab

pytestmark = pytest.mark.netns

PORT = 7000
PING_TIMEOUT_S = 1
ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(10))
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer(("", int(__import__("sys").argv[1])), Echo).serve_forever()
"""
CALL = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1) as link:
    link.sendall(b"hello")
    print(link.recv(10).decode())
"""


def pings(sender: Host, receiver: Host) -> bool:
    done = sender.run([sys.executable, "-c", CALL, receiver.address, str(PORT)], check=False)
    return done.returncode == 0


def serve(host: Host, port: int = PORT) -> None:
    host.start([sys.executable, "-c", ECHO, str(port)])
    deadline = time.monotonic() + 20
    call = [sys.executable, "-c", CALL, "127.0.0.1", str(port)]
    while host.run(call, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in listed.stdout.splitlines()]


def test_cuts_are_mended_and_leave_the_other_hosts_alone() -> None:
    with NetworkLab() as lab:
        head, pc, other = lab.host("head"), lab.host("pc"), lab.host("other")
        serve(head)
        assert pings(pc, head)
        lab.cut(pc)
        assert not pings(pc, head)
        assert pings(other, head)
        for direction in ("out", "in"):
            lab.cut_one_way(pc, direction)
            assert not pings(pc, head)
        lab.lose(pc, 99)
        assert not pings(pc, head)
        lab.mend(pc)
        assert pings(pc, head)


def test_a_host_that_may_reach_one_port_reaches_no_other_and_is_reached_by_nobody() -> None:
    with NetworkLab() as lab:
        head, pc = lab.host("head"), lab.host("pc")
        serve(head)
        serve(head, PORT + 1)
        serve(pc)
        assert pings(head, pc)
        lab.allow_only(pc, to=head.address, port=PORT)
        assert pings(pc, head)
        assert not pings(head, pc)
        refused = pc.run([sys.executable, "-c", CALL, head.address, str(PORT + 1)], check=False)
        assert "TimeoutError" in refused.stderr


def test_one_way_loses_that_way_only() -> None:
    listen = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)\n"
        f"s.bind(('', {PORT})); print(s.recv(10).decode(), flush=True)"
    )
    with NetworkLab() as lab:
        head, pc = lab.host("head"), lab.host("pc")
        for sender, receiver, arrives in ((pc, head, False), (head, pc, True)):
            serve(receiver, PORT + 2)  # each learns the other's address before the cut
            sender.run([sys.executable, "-c", CALL, receiver.address, str(PORT + 2)])
            lab.cut_one_way(pc, "out")
            send = (
                "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"for _ in range(30): s.sendto(b'x', ('{receiver.address}', {PORT})); time.sleep(0.1)"
            )
            sender.start([sys.executable, "-c", send])
            heard = receiver.run([sys.executable, "-c", listen], check=False)
            assert (heard.stdout.strip() == "x") == arrives
            lab.mend(pc)


def test_everything_is_gone_after_a_failure(tmp_path: Path) -> None:
    lab = NetworkLab()
    host, process = fail_in(lab, tmp_path / "log")
    assert process.returncode is not None
    mine = host.namespace.rpartition("-")[0]
    assert not [name for name in namespaces() if name.startswith(mine)]


def fail_in(lab: NetworkLab, log: Path) -> tuple[Host, subprocess.Popen[bytes]]:
    with contextlib.suppress(RuntimeError), lab:
        host = lab.host("head")
        process = host.start(
            ["bash", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000"], log=log
        )
        raise RuntimeError
    return host, process


def test_what_a_killed_run_left_is_removed_by_the_next() -> None:
    left = "import os; from tests.support.network_lab import NetworkLab\nlab = NetworkLab().__enter__()\n"
    left += "host = lab.host('head'); host.start(['sleep', '1000']); print(host.namespace, flush=True); os._exit(1)"
    done = subprocess.run([sys.executable, "-c", left], capture_output=True, text=True, check=False)
    namespace = done.stdout.strip()
    assert namespace.startswith(PREFIX)
    assert namespace in namespaces()
    with NetworkLab() as lab:
        lab.host("head")
        assert namespace not in namespaces()
