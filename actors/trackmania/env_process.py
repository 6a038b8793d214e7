"""The actor's end of an env child: starts it, talks to it with deadlines, and ends it for good."""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import psutil
import structlog

from actors.game_contract import GameFaultError
from actors.trackmania.child_pipe import Message, PipeWriter, receive
from actors.trackmania.tmrl_home import write_home
from common.game_config import GameConfig

SILENT_S = 1.5
"""A child whose heart does not beat for so long is stopped or stuck."""
STARTING_SILENT_S = 15.0
"""Imports hold the heart up, on a busy machine for seconds."""
IMPORT_S = 60.0
"""Importing tmrl takes three seconds; on a disk that sleeps it may take a while."""
_OWN_PAUSE_S = 0.2
_KILL_WAIT_S = 5.0
_KEPT_LINES = 40
_LINE_CHARACTERS = 500
_ROOT = Path(__file__).resolve().parents[2]
_log = structlog.get_logger()


class EnvProcess:
    """One env child; it is started by the constructor and is not waited for.

    Args:
        game: what the environment shall show.
    """

    def __init__(self, game: GameConfig) -> None:
        self._home = tempfile.TemporaryDirectory(
            prefix="apexmania-tmrl-", ignore_cleanup_errors=True
        )
        write_home(Path(self._home.name), game)
        self._replies: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._trouble: Message | None = None
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self.started_s = self._checked_s = time.monotonic()
        self._silent_s = 0.0
        self.ready = False
        self._started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="env-child-out", daemon=True)
        self._listener.start()
        started = self._started.get()
        if isinstance(started, OSError):
            raise started
        self._process = started
        self._overhearer = threading.Thread(
            target=self._overhear, name="env-child-err", daemon=True
        )
        self._overhearer.start()
        assert self._process.stdin is not None
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._sender = threading.Thread(target=self._deliver, name="env-child-in", daemon=True)
        self._sender.start()
        self.send(
            {
                "kind": "setup",
                "home": self._home.name,
                "standin": game.name == "standin",
                "off_line_m": game.trackmania.off_line_m,
            }
        )

    @property
    def pid(self) -> int:
        """Of the child, which is also the id of its process group."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Hands a message over and returns at once; a child that is gone or takes none is noticed by ``check``."""
        self._outbox.put(message)

    def reply(self, timeout_s: float) -> Message | None:
        """Returns the answer to the last message, or None where there is none within the time."""
        try:
            return self._replies.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def check(self) -> None:
        """Sees that the child lives and its heart beats.

        Raises:
            GameFaultError: it reported an error, ended, or is silent.
        """
        trouble, code = self._trouble, self._process.poll()
        if trouble is not None:
            _log.warning("env_child_raised", error=trouble["error"], trace=trouble["traceback"])
            raise GameFaultError(str(trouble["cause"]), str(trouble["error"]))
        if code is not None:
            self._listener.join(SILENT_S)
            if self._trouble is not None:
                self.check()
            raise GameFaultError("child_died", f"exit code {code}; {self._last_words()}")
        if not self.ready and time.monotonic() - self.started_s > IMPORT_S:
            raise GameFaultError("child_hung", f"tmrl was not imported in {IMPORT_S:.0f} s")
        now_s = time.monotonic()
        # Where this process was not served either, the child is not to blame for the whole pause.
        self._silent_s += min(now_s - self._checked_s, _OWN_PAUSE_S)
        self._checked_s = now_s
        if self._silent_s > (SILENT_S if self.ready else STARTING_SILENT_S):
            raise GameFaultError("child_hung", f"no heartbeat for {self._silent_s:.1f} s")

    def kill(self) -> None:
        """Ends the child and all that it started, at once, and clears up behind it."""
        _kill_group(self._process)
        self._process.wait(_KILL_WAIT_S)
        self._outbox.put(None)
        for thread in (self._sender, self._listener, self._overhearer):
            thread.join(_KILL_WAIT_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            try:
                stream.close()
            except OSError as error:
                _log.debug("env_child_pipe", error=str(error))
        self._home.cleanup()

    def _listen(self) -> None:
        """Starts the child and sorts its messages.

        Linux ends the child when the thread that started it ends, so that thread lives as long as the
        child does.
        """
        try:
            process = _start()
        except OSError as error:
            self._started.put(error)
            return
        self._started.put(process)
        assert process.stdout is not None
        while (message := receive(process.stdout)) is not None:  # type: ignore[arg-type]
            self._silent_s = 0.0
            kind = message["kind"]
            if kind == "trouble":
                self._trouble = message
            elif kind == "ready":
                self.ready = True
                self._home.cleanup()  # it is read while tmrl is imported, and never again
                _log.debug("env_child_ready", pid=self.pid, import_s=message["import_s"])
            elif kind != "beat":
                self._replies.put(message)

    def _deliver(self) -> None:
        """Writes what was handed over; only this thread waits where a stopped child lets its pipe fill up."""
        assert self._process.stdin is not None
        writer = PipeWriter(self._process.stdin)  # type: ignore[arg-type]
        while (message := self._outbox.get()) is not None:
            try:
                writer.send(message)
            except OSError as error:
                _log.debug("env_child_deaf", pid=self.pid, error=str(error))
                return

    def _overhear(self) -> None:
        """Keeps the last lines of what tmrl prints."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()[:_LINE_CHARACTERS]
            self._said.append(text)
            _log.debug("env_child", pid=self.pid, line=text)

    def _last_words(self) -> str:
        return f"its last line: {self._said[-1]}" if self._said else "it said nothing"


def _start() -> "subprocess.Popen[bytes]":
    """Starts the child as the leader of a process group of its own.

    Within our session, since Linux then hangs up a group that lost its owner while parts of it were stopped;
    tmrl's own shell ends with us only by that.
    """
    paths = [str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "actors.trackmania.env_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": "1",
        },
        process_group=None if sys.platform == "win32" else 0,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kills the child and its own children: tmrl keeps a shell and starts xdotool."""
    if sys.platform == "win32":
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        process.kill()
        for child in family:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
    else:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
