"""Tells a person: runs a command or calls a webhook, on a thread that nobody ever waits for long.

The address of a webhook is a secret, so it comes from the environment and is written nowhere.
"""

import contextlib
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import structlog

from common.errors import ConfigError
from common.health_config import AlertsConfig

WEBHOOK_VARIABLE = "APEXMANIA_ALERT_WEBHOOK"
_MOST_WAITING = 100
_LAST_PATIENCE_S = 5.0
_KILL_PATIENCE_S = 1.0
_POLL_S = 0.2
_log = structlog.get_logger()
Alert = dict[str, Any]


def webhook_address() -> str:
    """Returns the address in the environment, empty where there is none.

    Raises:
        ConfigError: it is no address; the message does not repeat it.
    """
    address = os.environ.get(WEBHOOK_VARIABLE, "")
    if address and (
        urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc
    ):
        raise ConfigError(
            f"{WEBHOOK_VARIABLE} is no address of a webhook.",
            "it has to begin with https:// or http:// and name a host",
            f"export {WEBHOOK_VARIABLE}=https://HOST/PATH, or unset it",
        )
    return address


def require_alerts(config: AlertsConfig) -> None:
    """Refuses alerts that could never arrive.

    Raises:
        ConfigError: the command's program does not exist, or the webhook is no address.
    """
    webhook_address()
    words = shlex.split(config.command)
    if words and shutil.which(words[0]) is None:
        raise ConfigError(
            f"alerts.command names {words[0]!r}, which is no program here.",
            "it is run when a check turns red, and would fail only then",
            '--set "alerts.command=/path/to/program", executable, with an absolute path',
        )


class Alerts:
    """Sends alerts in their order; what fails is logged once and given up.

    Args:
        config: command and patience.
        webhook: address, or empty.
    """

    def __init__(self, config: AlertsConfig, *, webhook: str) -> None:
        self._command = shlex.split(config.command)
        self._timeout_s = config.timeout_s
        self._webhook = webhook
        self._waiting: queue.Queue[Alert] = queue.Queue(maxsize=_MOST_WAITING)
        self._failed: set[str] = set()
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self._command or self._webhook)

    def start(self) -> None:
        """Starts the thread where anybody is to be told."""
        if self.wanted:
            self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
            self._thread.start()

    def send(self, alert: Alert) -> None:
        """Queues an alert; returns at once, and gives up the oldest where too many wait."""
        if self._thread is None:
            return
        while True:
            try:
                self._waiting.put_nowait(alert)
            except queue.Full:
                self._note("queue", "too many alerts wait; the oldest are given up")
                with contextlib.suppress(queue.Empty):
                    self._waiting.get_nowait()
            else:
                return

    def close(self) -> None:
        """Waits a few seconds for what is queued, and gives up the rest."""
        if self._thread is None:
            return
        self._closing.set()
        self._thread.join(_LAST_PATIENCE_S)
        self._given_up.set()

    def _run(self) -> None:
        while not self._given_up.is_set():
            try:
                alert = self._waiting.get(timeout=_POLL_S)
            except queue.Empty:
                self._failed.discard("queue")
                if self._closing.is_set():
                    return
                continue
            body = json.dumps(alert, allow_nan=False).encode()
            if self._command:
                self._call_command(body)
            if self._webhook:
                self._call_webhook(body)

    def _call_command(self, body: bytes) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 - the person who trains chose it
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self._note("command", str(error))
            return
        try:
            process.communicate(body, timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            self._note("command", f"it took longer than {self._timeout_s:g} s{_killed(process)}")
        except OSError as error:
            self._note("command", str(error))
        else:
            if process.returncode:
                self._note("command", f"it ended with exit code {process.returncode}")
            else:
                self._failed.discard("command")

    def _call_webhook(self, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - only http and https get here
            self._webhook, data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s):  # noqa: S310 - as above
                self._failed.discard("webhook")
        except urllib.error.HTTPError as error:
            with error:
                self._note("webhook", f"it answered {error.code}")
        except (OSError, HTTPException, ValueError) as error:
            # The text of some errors repeats the address, so only their kind is told.
            self._note("webhook", type(error).__name__)

    def _note(self, what: str, why: str) -> None:
        """Logs a failure, until that way works again."""
        if what not in self._failed:
            self._failed.add(what)
            _log.warning("alert_not_sent", by=what, why=why)


def _killed(process: subprocess.Popen[bytes]) -> str:
    """Ends a command with all that it started; returns what is to be said of one that cannot be ended.

    It may run as another user (sudo) or be gone by now; what goes on is waited for by nobody who is needed.
    """
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_KILL_PATIENCE_S)
    except ProcessLookupError:
        return ""
    except (OSError, subprocess.TimeoutExpired) as error:
        threading.Thread(target=process.wait, name="alert-left", daemon=True).start()
        return f" and could not be ended ({type(error).__name__})"
    finally:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
    return ""
