"""A run whose Redis refuses its own file comes to an end, and says how it goes on."""

import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.redis_server import break_framing
from tests.support.training_run import SMALL, Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.redis,
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.timeout(600),
]


def test_it_ends_with_the_command_that_mends_it_and_goes_on_after_it(tmp_path: Path) -> None:
    with Run(tmp_path, "run", *SMALL, "--run-dir", "run") as run:
        run.until(lambda: run.learner_steps() > 20)
        server = run.child("-server 127.0.0.1")
        server.suspend()
        (file,) = (run.folder.redis / "appendonlydir").glob("*.incr.aof")
        break_framing(file, behind=20_000)
        server.send_signal(signal.SIGKILL)
        code, summary = run.end()
        assert code == 3, run.errors()
        assert run.orphans() == []
        assert "Traceback" not in run.errors()
    words = run.errors().rpartition("fix: ")[2]
    command, _, rest = words.partition(",")
    assert f"apexmania train --resume {run.folder.path}" in rest
    subprocess.run(shlex.split(command), input=b"y\n", capture_output=True, check=True)
    reached = run.learner_steps()
    with Run(tmp_path, "run", "--resume", "run") as resumed:
        resumed.until(lambda: resumed.learner_steps() > reached + 20)
        resumed.process.send_signal(signal.SIGTERM)
        code, summary = resumed.end()
    assert code == 130, resumed.errors()
    assert summary["replay"]["quarantined"] == 0
