"""Alerts to a real web server and a real command, which also fail, hang and hide."""

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from common.config import Config
from common.errors import ConfigError
from common.health_config import AlertsConfig
from deploy.health.alerts import WEBHOOK_VARIABLE, Alerts, require_alerts
from deploy.health.health_watch import HealthWatch
from deploy.run_files import read_rows
from deploy.run_folder import RunFolder
from deploy.run_progress import RunProgress
from tests.support.waiting import wait_until

ALERT = {"check": "loss", "state": "red", "text": "RED loss"}
SECRET = "/services/T0/B0/do-not-tell"


class Receiver(ThreadingHTTPServer):
    """A webhook that remembers what it got, and answers as it is told, else with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []
        self.answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.hang = threading.Event()
        self.hang.set()

    def next_answer(self) -> int:
        try:
            return self.answers.get_nowait()
        except queue.Empty:
            return 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == SECRET
        self.server.bodies.append(json.loads(body))
        self.server.hang.wait(30)
        self.send_response(self.server.next_answer())
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def _alerts(*, command: str = "", webhook: str = "", timeout_s: float = 10.0) -> Iterator[Alerts]:
    alerts = Alerts(AlertsConfig(command=command, timeout_s=timeout_s), webhook=webhook)
    alerts.start()
    try:
        yield alerts
    finally:
        alerts.close()


def _program(folder: Path, text: str) -> str:
    file = folder / "tell-me.py"
    file.write_text(text)
    return f"{sys.executable} {file} --to {folder / 'heard'}"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


HEARS = """
import pathlib, sys
assert sys.argv[1] == "--to"
with pathlib.Path(sys.argv[2]).open("a") as heard:
    heard.write(sys.stdin.read() + "\\n")
"""


def test_a_webhook_and_a_command_get_every_alert_in_order(
    receiver: Receiver, tmp_path: Path
) -> None:
    with _alerts(command=_program(tmp_path, HEARS), webhook=receiver.address) as alerts:
        for number in range(3):
            alerts.send({**ALERT, "number": number})
        wait_until(
            lambda: len(_lines(tmp_path / "heard")) == len(receiver.bodies) == 3, timeout_s=60
        )
    assert [body["number"] for body in receiver.bodies] == [0, 1, 2]
    assert [json.loads(line) for line in _lines(tmp_path / "heard")] == receiver.bodies


def test_what_hangs_holds_up_nobody_and_is_ended(receiver: Receiver, tmp_path: Path) -> None:
    receiver.hang.clear()
    command = _program(tmp_path, "import time; time.sleep(600)")
    with (
        structlog.testing.capture_logs() as logs,
        _alerts(command=command, webhook=receiver.address, timeout_s=0.3) as alerts,
    ):
        began = time.monotonic()
        for _ in range(200):
            alerts.send(ALERT)
        assert time.monotonic() - began < 20.0, "the first alert alone hangs for longer"
        wait_until(lambda: len(receiver.bodies) >= 2, timeout_s=60)
    told = sorted((log["by"], log["event"]) for log in logs)
    assert told == [(by, "alert_not_sent") for by in ("command", "queue", "webhook")]


def test_a_command_that_cannot_be_ended_does_not_end_the_alerts(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that changed its user (sudo) refuses the signal; the system is made to answer so here."""
    commands: list[int] = []

    def refuse(group: int, _: int) -> None:
        commands.append(group)
        raise PermissionError

    killpg = os.killpg
    monkeypatch.setattr(os, "killpg", refuse)
    command = _program(tmp_path, "import time; time.sleep(600)")
    with (
        structlog.testing.capture_logs() as logs,
        _alerts(command=command, webhook=receiver.address, timeout_s=0.3) as alerts,
    ):
        alerts.send(ALERT)
        alerts.send(ALERT)
        wait_until(lambda: len(receiver.bodies) == 2, timeout_s=60)
    for group in commands:
        killpg(group, signal.SIGKILL)
    assert [log["why"] for log in logs] == [
        "it took longer than 0.3 s and could not be ended (PermissionError)"
    ]


def test_a_failure_is_logged_once_until_it_works_again_and_never_with_the_address(
    receiver: Receiver, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logs:
        with _alerts(webhook=receiver.address) as alerts:
            for answer in (500, 500, 200, 404):
                receiver.answers.put(answer)
                alerts.send(ALERT)
            wait_until(lambda: len(logs) == 2, timeout_s=60)
        with _alerts(webhook="http://127.0.0.1:9" + SECRET) as alerts:
            alerts.send(ALERT)
            wait_until(lambda: len(logs) == 3, timeout_s=60)
        with _alerts(command=_program(tmp_path, "raise SystemExit(3)")) as alerts:
            alerts.send(ALERT)
            wait_until(lambda: len(logs) == 4, timeout_s=60)
    assert [log["why"] for log in logs] == [
        "it answered 500", "it answered 404", "URLError", "it ended with exit code 3",
    ]  # fmt: skip
    assert SECRET not in repr(logs)


def test_alerts_that_could_never_arrive_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_alerts(AlertsConfig())
    with pytest.raises(ConfigError, match="no program here"):
        require_alerts(AlertsConfig(command="/no/such/program --loud"))
    for address in ("hooks.example.com" + SECRET, "file:///etc/passwd", "https://"):
        monkeypatch.setenv(WEBHOOK_VARIABLE, address)
        with pytest.raises(ConfigError) as refused:
            require_alerts(AlertsConfig())
        assert SECRET not in str(refused.value)


def test_a_check_that_turns_red_and_heals_is_told_once_each(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, receiver.address)
    folder, progress, said = RunFolder(tmp_path), RunProgress(), []
    watch = HealthWatch.open(folder, Config(), progress=progress, say=said.append)
    for place, q_mean in enumerate([1.0] * 5 + [-20.0] * 10 + [1.0] * 10):
        watch.add_metrics(_metrics(place + 1, q_mean))
    wait_until(lambda: len(receiver.bodies) == 2, timeout_s=60)
    watch.close()
    told = [(body["check"], body["before"], body["state"]) for body in receiver.bodies]
    assert told == [("q_value", "ok", "red"), ("q_value", "red", "ok")]
    assert receiver.bodies[0]["since"]["episode"] == 6
    assert receiver.bodies[0]["text"].startswith(f"{tmp_path.name}: RED q_value: -20")
    assert [line.split(":")[0] for line in said] == ["RED q_value", "HEALED q_value"]
    assert "checks ok" in progress.health
    changes = [(row["check"], row["state"]) for row in read_rows(folder.health_file)]
    assert ("q_value", "red") in changes
    assert not any(SECRET.encode() in file.read_bytes() for file in tmp_path.iterdir())


def _metrics(place: int, q_mean: float) -> dict[str, Any]:
    return {
        "time": float(place), "episodes": place, "env_steps": 100 * place, "q_mean": q_mean,
        "loss": 5.0, "epsilon": 1.0, "grad_norm": 1.0, "samples_per_insert": 32.0,
        "staleness_mean": 0.0, "replay_size": 100 * place,
    }  # fmt: skip
