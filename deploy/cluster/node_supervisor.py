"""Keeps this machine's Ray node running: starts it, starts it again when it ends, and ends it whole.

Nobody else does: a machine that was cut off from the head leaves the cluster for good, because its
node ends itself on the first word from the head that it counts as dead.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import structlog

from common.errors import MachineError
from deploy import child_process
from deploy.cluster.node_plan import TEMPORARY, NodePlan, gcs_folder, node_folder
from deploy.cluster.node_state import NodeState, Phase, log_file, only_supervisor

_log = structlog.get_logger()

_POLL_S = 0.2
_FIRST_DELAY_S, _LONGEST_DELAY_S = 1.0, 30.0
_SETTLED_S = 60.0
_PATIENCE_S = 8.0
_STARTED = b"Ray runtime started."
_SHOWN_BYTES = 4000
_SHOWN_LINES = 12
_PR_SET_CHILD_SUBREAPER = 36


class NodeSupervisor:
    """Runs the node of this machine until it is told to stop.

    Args:
        plan: what the machine shall be.
        patient: whether the first start may fail like every later one; otherwise it decides.
    """

    def __init__(self, plan: NodePlan, *, patient: bool) -> None:
        self._plan = plan
        self._patient = patient
        self._stop = threading.Event()
        self._restarts = 0
        self._why = ""

    def stop(self) -> None:
        """Ends ``run`` soon; may be called from a signal handler."""
        self._stop.set()

    def run(self) -> bool:
        """Keeps the node running and returns whether it ever ran.

        Raises:
            MachineError: another supervisor is at work, or the temporary folder is another user's.
        """
        with only_supervisor(), _temporary_folder():
            _adopt_orphans()
            # What an earlier cluster knew of its machines and trainings is no truth for this one.
            shutil.rmtree(gcs_folder(), ignore_errors=True)
            delay_s = _FIRST_DELAY_S
            while True:
                up_s = self._run_once()
                if up_s == 0 and self._restarts == 0 and not self._patient:
                    self._say("failed")
                    return False
                if self._stop.is_set():
                    return True
                delay_s = _FIRST_DELAY_S if up_s > _SETTLED_S else delay_s
                _log.warning("node_ended", why=self._why, up_s=round(up_s, 1), next_in_s=delay_s)
                self._say("waiting")
                self._stop.wait(delay_s)
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
                if self._stop.is_set():
                    return True
                self._restarts += 1

    def _run_once(self) -> float:
        """Runs Ray to its end and returns the seconds it was up, 0 if it never was."""
        self._say("starting")
        log = log_file()
        before = log.stat().st_size if log.exists() else 0
        process = child_process.start(
            self._plan.command(),
            log=log,
            folder=node_folder(),
            environment=self._plan.environment(),
        )
        up_at: float | None = None
        try:
            while process.poll() is None and not self._stop.wait(_POLL_S):
                _reap_orphans(process)
                if up_at is None and _STARTED in _written(log, since=before):
                    up_at = time.monotonic()
                    _log.info("node_up", role=self._plan.role, address=self._plan.address)
                    self._say("up")
        finally:
            code = process.poll()
            _end(process)
        if code is not None:
            text = _written(log, since=max(before, log.stat().st_size - _SHOWN_BYTES))
            self._why = f"ray start ended with {code}: {_last_lines(text)}"
        return 0.0 if up_at is None else time.monotonic() - up_at

    def _say(self, phase: Phase) -> None:
        NodeState(os.getpid(), phase, self._plan, self._restarts, self._why).write()


def supervise(plan: NodePlan, *, patient: bool) -> bool:
    """Runs a supervisor in this process until SIGTERM or SIGINT; returns whether the node ran.

    Args:
        plan: what the machine shall be.
        patient: whether the first start may fail like every later one.

    Raises:
        MachineError: another supervisor is at work.
    """
    supervisor = NodeSupervisor(plan, patient=patient)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor.run()


@contextlib.contextmanager
def _temporary_folder() -> Iterator[None]:
    """Has a private folder above Ray's own, which Ray opens to everybody."""
    TEMPORARY.mkdir(mode=0o700, exist_ok=True)
    if TEMPORARY.is_symlink() or TEMPORARY.stat().st_uid != os.getuid():
        raise MachineError(
            f"{TEMPORARY} belongs to somebody else.",
            "a node of another user runs here, or did, and a machine has one node",
            f"let its owner run: apexmania cluster node stop; or: sudo rm -r {TEMPORARY}",
        )
    TEMPORARY.chmod(0o700)
    try:
        yield
    finally:
        shutil.rmtree(TEMPORARY, ignore_errors=True)
        shutil.rmtree(gcs_folder(), ignore_errors=True)


def _adopt_orphans() -> None:
    """Makes every process that Ray leaves behind a child of ours, so that it can be ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_orphans(process: subprocess.Popen[bytes]) -> None:
    """Buries the adopted that ended, and leaves our own child to its owner."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == process.pid:
                return
            os.waitpid(ended.si_pid, 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends Ray and everything that it started, by process id."""
    everybody = psutil.Process().children(recursive=True)
    child_process.stop(process, patience_s=_PATIENCE_S)
    everybody += psutil.Process().children(recursive=True)
    for one in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.terminate()
    _, left = psutil.wait_procs(everybody, timeout=_PATIENCE_S)
    for one in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(left, timeout=_PATIENCE_S)
    _reap_orphans(process)


def _written(log: Path, *, since: int) -> bytes:
    with log.open("rb") as stream:
        stream.seek(since)
        return stream.read()


def _last_lines(text: bytes) -> str:
    lines = [" ".join(line.split()) for line in text.decode(errors="replace").splitlines()]
    return " / ".join([line for line in lines if line][-_SHOWN_LINES:])
