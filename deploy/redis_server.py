"""Starts a private Redis in the run folder, keeps it alive, and stops what it started."""

import os
import secrets
import socket
import subprocess
import threading
import time
from pathlib import Path

import structlog

from common.errors import ApexManiaError, MachineError, UnreachableError
from common.wire import MAX_VALUE_BYTES
from deploy import child_process
from deploy.redis_address import redacted
from deploy.redis_program import RedisProgram
from replay_server.connection import OUTAGES, check_server, connect
from replay_server.write_probe import probe_write

_log = structlog.get_logger()

_START_TIMEOUT_S = 60.0
_STOP_PATIENCE_S = 10.0
_HANG_TIMEOUT_S = 10.0
_POLL_S = 0.2
_PING_EVERY_S = 2.0
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MOST_S = 10.0


class PrivateRedis:
    """A Redis of our own on a loopback port, restarted with its data when it dies or hangs.

    The port and the password are written once and kept, so that a resumed run and every process that
    was connected find the same server again.
    """

    def __init__(self, program: RedisProgram, *, folder: Path, log: Path, max_bytes: int) -> None:
        """Prepares the server; ``start`` starts it.

        Args:
            program: the server program.
            folder: holds its configuration, password and append-only file.
            log: file that takes its output.
            max_bytes: memory beyond which it refuses writes (bytes).
        """
        self._program = program
        self._folder = folder
        self._log = log
        self._max_bytes = max_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._up = threading.Event()
        self._failure: ApexManiaError | None = None
        self._thread = threading.Thread(target=self._supervise, name="redis", daemon=True)
        self.restarts = 0
        self.port = 0
        self.url = ""

    @property
    def pid(self) -> int | None:
        """Process id of the server, or None while it is away."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the server and waits until it answers.

        Raises:
            MachineError: it could not be started here.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        password_file = self._folder / "password"
        if not password_file.exists():
            _write_private(password_file, secrets.token_hex(32))
        password = password_file.read_text(encoding="utf-8")
        self.port = free_port(preferred=_read_port(self._folder / "port"))
        _write_private(self._folder / "port", str(self.port))
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0"
        _write_private(self._folder / "redis.conf", self._configuration(password))
        self._thread.start()
        while not self._up.wait(_POLL_S):
            if self._failure is not None:
                self._thread.join()
                raise self._failure
            if not self._thread.is_alive():
                raise MachineError(
                    f"The thread that starts {self._program.path} ended.",
                    "this is a bug in apexmania: it should have said why",
                    f"read {self._log}; another server: --redis redis://:PASSWORD@HOST:PORT",
                )
        check_server(connect(self.url, name="launcher"), url=self.url, may_be_full=True)

    def stop(self) -> None:
        """Stops the server; its data stays in the folder."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _configuration(self, password: str) -> str:
        return "\n".join(
            (
                "bind 127.0.0.1",
                "protected-mode yes",
                f"port {self.port}",
                f"requirepass {password}",
                f'dir "{self._folder}"',
                "daemonize no",
                "databases 1",
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                f"maxmemory {self._max_bytes}",
                "maxmemory-policy noeviction",
                f"proto-max-bulk-len {MAX_VALUE_BYTES}",
                # One segment's frames a node: Redis frees a node only when all of its entries are trimmed.
                "stream-node-max-bytes 4096",
                "",
            )
        )

    def _supervise(self) -> None:
        """Runs in the thread that owns the server, because the kernel ties its life to this thread."""
        backoff_s = _BACKOFF_FIRST_S
        while not self._stopping.is_set():
            began = time.monotonic()
            failure = self._serve()
            if failure is not None and not self._up.is_set():
                self._failure = failure
                break
            if self._stopping.is_set():
                break
            backoff_s = (
                _BACKOFF_FIRST_S if time.monotonic() - began > _BACKOFF_MOST_S else backoff_s
            )
            exit_code = None if self._process is None else self._process.poll()
            why = None if failure is None else failure.why
            _log.warning("redis_restarts", exit_code=exit_code, why=why, wait_s=backoff_s)
            if self._process is not None:
                child_process.stop(self._process, patience_s=0.0)
            self._stopping.wait(backoff_s)
            backoff_s = min(2 * backoff_s, _BACKOFF_MOST_S)
            self.restarts += 1
        if self._process is not None:
            child_process.stop(self._process, patience_s=_STOP_PATIENCE_S)

    def _serve(self) -> MachineError | None:
        """Runs the server until it is over; returns why it did not come up, None if it did."""
        try:
            self._process = child_process.start(
                [self._program.path, self._folder / "redis.conf"],
                log=self._log,
                folder=self._folder,
            )
        except OSError as error:
            return MachineError(
                f"{self._program.path} could not be started.",
                str(error),
                f"free processes, memory and disk (df -h {self._folder}), then start again",
            )
        if not self._wait_until_up():
            return None if self._stopping.is_set() else self._start_failure()
        self._up.set()
        self._watch()
        return None

    def _wait_until_up(self) -> bool:
        """Waits until the server has loaded its data and answers."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and not self._stopping.is_set() and self._alive():
            if self._answers():
                return True
            self._stopping.wait(_POLL_S / 4)
        return False

    def _watch(self) -> None:
        """Returns when the server died, hangs, or is to stop."""
        last_answer = last_ping = time.monotonic()
        while self._alive() and not self._stopping.wait(_POLL_S):
            now = time.monotonic()
            if now - last_ping < _PING_EVERY_S:
                continue
            last_ping = now
            if self._answers():
                last_answer = time.monotonic()
            elif time.monotonic() - last_answer > _HANG_TIMEOUT_S:
                _log.error("redis_hangs", silent_s=round(time.monotonic() - last_answer, 1))
                assert self._process is not None
                self._process.kill()
                return

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        connection = connect(self.url, name="supervisor")
        try:
            connection.ping()
        except OUTAGES:
            return False
        finally:
            connection.close()
        return True

    def _start_failure(self) -> MachineError:
        assert self._process is not None
        words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = words[-1] if words else "it printed nothing"
        return MachineError(
            f"{self._program.path} did not start on 127.0.0.1:{self.port} "
            f"(exit code {self._process.poll()}).",
            f"its last line: {last}",
            f"read {self._log}; another server: --redis redis://:PASSWORD@HOST:PORT",
        )


def free_port(*, preferred: int | None = None) -> int:
    """Returns a free loopback port.

    Args:
        preferred: port to take if it is free.
    """
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            free: int = listener.getsockname()[1]
            return free
    raise MachineError(
        "No free port was found on 127.0.0.1.",
        "the system refused to bind any",
        "close programs that hold many connections, then try again",
    )


def private_url(folder: Path) -> str | None:
    """Returns the address of the private Redis of a run, or None where it never had one.

    Args:
        folder: the server's folder in the run.
    """
    port = _read_port(folder / "port")
    if port is None or not (folder / "password").exists():
        return None
    password = (folder / "password").read_text(encoding="utf-8")
    return f"redis://:{password}@127.0.0.1:{port}/0"


def check_foreign(url: str, *, may_be_full: bool = False) -> None:
    """Checks the user's own server before anything is started.

    Args:
        url: as given to ``--redis``.
        may_be_full: for a run that goes on: trimming its log may make the room that it needs.

    Raises:
        ApexManiaError: it is away, too old, full, or refuses the password.
    """
    require_address(url)
    connection = connect(url, name="launcher")
    check_server(connection, url=url, may_be_full=may_be_full)
    if not may_be_full:
        probe_write(connection, shown=redacted(url))
    connection.close()


def require_address(url: str) -> None:
    """Refuses a text that is no address, before anything connects to it.

    Args:
        url: as given to ``--redis``.

    Raises:
        UnreachableError: it is none.
    """
    try:
        connect(url, name="launcher").close()
    except ValueError as error:
        raise UnreachableError(
            f"--redis {redacted(url)!r} is not a Redis address.",
            str(error),
            "--redis redis://:PASSWORD@HOST:6379/0",
        ) from error


def _read_port(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
