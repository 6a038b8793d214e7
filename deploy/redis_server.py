"""Starts a private Redis in the run folder, keeps it alive, and stops what it started."""

import subprocess
import threading
import time
from pathlib import Path

import structlog

from common.errors import ApexManiaError, MachineError
from common.machine_home import write_private
from deploy import child_process
from deploy.certificates import authority_pem, member_identity, server_files
from deploy.head_secrets import role_password
from deploy.redis_address import compose_address
from deploy.redis_configuration import MAX_CLIENTS, Doors, configuration
from deploy.redis_listen import LOOPBACK, Listen, free_port, require_free
from deploy.redis_program import RedisProgram
from deploy.redis_users import RunUsers
from deploy.start_failure import FailedStarts, StartFailure, not_started, not_up
from replay_server.connection import OUTAGES, Client, call, check_server, connect

_log = structlog.get_logger()

_START_TIMEOUT_S = 60.0
_STOP_PATIENCE_S = 10.0
_HANG_TIMEOUT_S = 10.0
_POLL_S = 0.2
_PING_EVERY_S = 2.0
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MOST_S = 10.0


class PrivateRedis:
    """A Redis of our own, restarted with its data when it dies or hangs.

    One that does not come up again is given up; see ``raise_failure``.

    Its port is kept in its folder and the passwords in the machine's home, so that a resumed run and every
    process that was connected find the same server again.
    """

    def __init__(
        self,
        program: RedisProgram,
        *,
        folder: Path,
        log: Path,
        max_bytes: int,
        run: str = "*",
        listen: Listen | None = None,
    ) -> None:
        """Prepares the server; ``start`` starts it.

        Args:
            program: the server program.
            folder: holds its configuration, the hashes of its users' passwords and its append-only file.
            log: file that takes its output.
            max_bytes: memory beyond which it refuses writes (bytes).
            run: name of the run whose keys its users may touch; ``*`` stands for any.
            listen: where other machines reach it, or None for loopback alone.
        """
        self._program = program
        self._folder = folder
        self._log = log
        self._max_bytes = max_bytes
        self._listen = listen
        self.users = RunUsers(folder / "users.acl", run)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._up = threading.Event()
        self._failure: ApexManiaError | None = None
        self._failed_starts = FailedStarts()
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
            ConfigError: the address to listen on is not this machine's.
            MachineError: it could not be started here, or its port is taken.
        """
        self._prepare()
        self._thread.start()
        while not self._up.wait(_POLL_S):
            if self._failure is not None:
                self._thread.join()
                self.raise_failure()
            if not self._thread.is_alive():
                raise MachineError(
                    f"The thread that starts {self._program.path} ended.",
                    "this is a bug in apexmania: it should have said why",
                    f"read {self._log}; another server: --redis redis://:PASSWORD@HOST:PORT",
                )
        connection = connect(self.url, name="launcher")
        check_server(connection, url=self.url, may_be_full=True)
        self._note_connections(connection)
        connection.close()

    def _note_connections(self, connection: Client) -> None:
        """Says how many actors fit where the system lets the server open few files."""
        most = int(call(connection, "INFO", "clients")["maxclients"])
        if most < MAX_CLIENTS:
            _log.info("redis_connections_limited", connections=most, wanted=MAX_CLIENTS)

    def raise_failure(self) -> None:
        """Raises why the server was given up, if it was."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stops the server; its data stays in the folder."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def address(self, user: str, password: str, *, host: str = LOOPBACK) -> str:
        """Returns the server's address for one user; see ``address``."""
        return address(self.port, user, password, listen=self._listen, host=host)

    def _prepare(self) -> None:
        """Writes what the server reads: where it listens, its users, its limits; nothing secret."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / "password").unlink(missing_ok=True)  # of runs before there were users
        if self._listen is None:
            self.port = free_port(preferred=kept_port(self._folder))
            doors = Doors(self.port)
        else:
            require_free(self._listen)
            self.port = self._listen.port
            doors = Doors(
                self.port,
                hosts=(self._listen.host,),
                files=server_files(self._listen.host) if self._listen.tls else None,
                mutual_tls=self._listen.mutual_tls,
            )
        self.users.write()
        text = configuration(
            doors, data=self._folder, users=self.users.file, max_bytes=self._max_bytes
        )
        write_private(self._folder / "redis.conf", text)
        write_private(self._folder / "port", str(self.port))
        self.url = self.address("launcher", role_password("launcher"))

    def _supervise(self) -> None:
        """Runs in the thread that owns the server, because the kernel ties its life to this thread."""
        backoff_s = _BACKOFF_FIRST_S
        while not self._stopping.is_set():
            began = time.monotonic()
            failure = self._serve()
            if failure is None:
                self._failed_starts.clear()
            elif not self._up.is_set() or self._failed_starts.hopeless(failure):
                _log.error("redis_given_up", why=failure.error.why, fix=failure.error.fix)
                self._failure = failure.error
                break
            if self._stopping.is_set():
                break
            backoff_s = (
                _BACKOFF_FIRST_S if time.monotonic() - began > _BACKOFF_MOST_S else backoff_s
            )
            exit_code = None if self._process is None else self._process.poll()
            reason = {} if failure is None else {"why": failure.error.why, "fix": failure.error.fix}
            _log.warning("redis_restarts", exit_code=exit_code, wait_s=backoff_s, **reason)
            if self._process is not None:
                child_process.stop(self._process, patience_s=0.0)
            self._stopping.wait(backoff_s)
            backoff_s = min(2 * backoff_s, _BACKOFF_MOST_S)
            self.restarts += 1
        if self._process is not None:
            child_process.stop(self._process, patience_s=_STOP_PATIENCE_S)

    def _serve(self) -> StartFailure | None:
        """Runs the server until it is over; returns why it did not come up, None if it did."""
        program, folder = self._program.path, self._folder
        since = self._log.stat().st_size if self._log.exists() else 0
        try:
            self.users.write()  # tokens may have come and gone since the last start
            self._process = child_process.start(
                [program, folder / "redis.conf"], log=self._log, folder=folder
            )
        except OSError as error:
            return not_started(program, folder=folder, why=error)
        if not self._wait_until_up():
            if self._stopping.is_set():
                return None
            return not_up(
                program,
                port=self.port,
                exit_code=self._process.poll(),
                folder=folder,
                log=self._log,
                since=since,
            )
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


def kept_port(folder: Path) -> int | None:
    """Returns the port that a server of this folder had last, or None where it never had one.

    Args:
        folder: the server's folder in the run.
    """
    try:
        return int((folder / "port").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def address(
    port: int, user: str, password: str, *, listen: Listen | None = None, host: str = LOOPBACK
) -> str:
    """Returns the address of a private Redis for one user.

    Args:
        port: where it listens.
        user: user on the server.
        password: of the user.
        listen: how other machines reach it, which says how everybody does.
        host: address of the server as the user sees it.
    """
    encrypted = listen is not None and listen.tls
    return compose_address(
        host=host,
        port=port,
        user=user,
        password=password,
        ca_pem=authority_pem() if encrypted else None,
        identity_pem=member_identity() if listen is not None and listen.mutual_tls else None,
    )
