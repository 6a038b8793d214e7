"""A short run that is told to be ill: who is told, what is kept, and whether every figure is in the table."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.metrics.fleet import ACTOR, EVALUATOR, FLEET, LEARNER_HEART, REPLAY
from common.metrics.learning import EPISODES, EVALUATIONS, LEARNER
from common.metrics.metric import Source
from deploy.health.alerts import WEBHOOK_VARIABLE
from deploy.live_run import read_hearts
from deploy.run_files import read_rows
from deploy.run_folder import RunFolder
from tests.support.training_run import SMALL, Run

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.ray, pytest.mark.timeout(600)]

SECRET = "do-not-tell-anybody"
FILES = {"metrics": LEARNER, "episodes": EPISODES, "evaluations": EVALUATIONS, "fleet": FLEET}
HEARTS = {
    "actor-0": ACTOR,
    "actor-1": ACTOR,
    "learner": LEARNER_HEART,
    "evaluator": EVALUATOR,
    "replay": REPLAY,
}
HEARS = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"


class _Webhook(BaseHTTPRequestHandler):
    heard: list[dict[str, Any]] = []  # noqa: RUF012 - one server for one test

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Any:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Webhook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}/{SECRET}"
    monkeypatch.setenv(WEBHOOK_VARIABLE, address)
    yield _Webhook.heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_run_that_turns_red_tells_everybody_and_writes_what_the_table_says(
    tmp_path: Path, webhook: list[dict[str, Any]]
) -> None:
    listener = tmp_path / "hears.py"
    listener.write_text(HEARS)
    heard = tmp_path / "heard.jsonl"
    ill = (
        *("--set", "health.q_floor=1000"),
        *("--set", f"alerts.command={sys.executable} {listener} {heard}"),
    )
    with Run(tmp_path, "run", *SMALL, *ill, "--run-dir", "run") as run:
        folder = run.folder
        hearts: dict[str, dict[str, Any]] = {}

        def all_is_there() -> bool:
            hearts.update(read_hearts(folder))
            return set(HEARTS) <= set(hearts) and all(
                list(read_rows(folder.path / f"{name}.jsonl")) for name in FILES
            )

        run.until(all_is_there)
        run.until(lambda: bool(webhook) and bool(_lines(heard)))
        code, said = _status(folder, "--check")
        assert (code, "RED    q_value" in said, "running" in said) == (6, True, True)
        actor = psutil.Process(int(hearts["actor-1"]["pid"]))
        actor.suspend()
        run.until(lambda: ("actor_lost", "red") in _told(webhook))
        actor.resume()
        run.until(lambda: ("actor_lost", "ok") in _told(webhook))
        run.until(lambda: len(_lines(heard)) == len(webhook))
        run.process.send_signal(2)
        assert run.end()[0] == 130, run.errors()
        assert "RED q_value" in run.errors()

    for name, source in HEARTS.items():
        assert set(hearts[name]) == source.names, name
    for name, source in FILES.items():
        for row in read_rows(folder.path / f"{name}.jsonl"):
            _compare(source, set(row) - {"_id"}, name)
    red = {row["check"] for row in read_rows(folder.health_file) if row["state"] == "red"}
    assert "q_value" in red
    told = [json.loads(line) for line in _lines(heard)]
    assert [alert["check"] for alert in told if alert["check"] == "q_value"] == ["q_value"]
    common = min(len(webhook), len(told))  # at the end nobody waits long for the last ones
    assert webhook[:common] == told[:common]
    lost = [each for each in told if (each["check"], each["state"]) == ("actor_lost", "red")]
    assert "actor-1" in {each["names"] for each in lost}
    checks = {check["check"]: check for check in _summary(folder)["health"]}
    assert checks["q_value"]["state"] == "red"
    assert checks["q_value"]["remedy"]
    assert checks["actor_lost"]["state"] == "ok"
    _assert_the_secret_is_nowhere(folder.path)
    assert _status(folder)[0] == 0
    code, values = _status(folder, "--check", "--json")
    assert (code, json.loads(values)["health"]) == (6, _summary(folder)["health"])


def _lines(file: Path) -> list[str]:
    """Returns the whole lines of a file that may be written at this moment."""
    return file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []


def _told(alerts: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(alert["check"], alert["state"]) for alert in list(alerts)}


def _compare(source: Source, names: set[str], place: str) -> None:
    assert names - source.names == set(), f"{place}: add it to common/metrics"
    assert source.names - names - source.sometimes == set(), f"{place}: nobody writes it"


def _status(folder: RunFolder, *options: str) -> tuple[int, str]:
    code = "import sys; from deploy.cli import main; sys.exit(main())"
    result = subprocess.run(
        [sys.executable, "-c", code, "status", folder.path, *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result.returncode, result.stdout


def _summary(folder: RunFolder) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(folder.summary_file.read_text())
    return values


def _assert_the_secret_is_nowhere(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert SECRET.encode() not in file.read_bytes(), file
