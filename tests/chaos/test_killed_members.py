"""Each member of a run is killed with -9; the run goes on and loses nothing."""

import json
import signal
from pathlib import Path

import pytest

from deploy.run_files import read_rows
from tests.support.training_run import SMALL, Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.redis,
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.timeout(900),
]


def test_a_run_survives_the_death_of_every_member_and_of_redis(tmp_path: Path) -> None:
    """Invariant: after each death the learner goes on; no gap, no doubled episode, no lost transition."""
    with Run(tmp_path, "run", *SMALL, "--run-dir", "run") as run:
        _kill_every_member(run)


def _kill_every_member(run: Run) -> None:
    run.until(lambda: run.learner_steps() > 20)
    for title in (
        "DrivingShell",
        "ReplayServiceActor",
        "-server 127.0.0.1",
        "LearnerShell",
        "EvaluatorShell",
        "wandb_sink",
    ):
        run.child(title).send_signal(signal.SIGKILL)
        reached = run.learner_steps()
        run.until(lambda reached=reached: run.learner_steps() > reached + 40)
    run.process.send_signal(signal.SIGTERM)
    code, summary = run.end()
    assert code == 130, run.errors()
    assert run.orphans() == []
    assert (summary["replay"]["gaps"], summary["replay"]["quarantined"]) == (0, 0)
    rows = list(read_rows(run.folder.episodes_file))
    numbers = [row["n"] for row in rows]
    assert numbers == list(range(1, len(numbers) + 1))
    epochs = {(row["actor"], row["epoch"], row["episode"]) for row in rows}
    assert len(epochs) == len(rows)
    assert "Traceback" not in run.errors()
    assert json.loads(run.folder.summary_file.read_text()) == summary
