"""Whole runs through the command line, as a person types them."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from deploy.run_files import read_rows
from tests.support.training_run import SMALL, Run

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.ray, pytest.mark.timeout(600)]


def test_a_run_from_nothing_to_its_results_and_on_by_resuming(tmp_path: Path) -> None:
    with Run(tmp_path, "first", *SMALL, "--run-dir", "first", "--max-env-steps", "2000") as run:
        code, summary = run.end()
        assert code == 0, run.errors()
        assert run.orphans() == []
        assert summary["end_reason"].startswith("run.max_env_steps reached")
        assert summary["env_steps"] >= 2000
        assert summary["learner_steps"] > 50
        assert summary["episodes"] >= 5
        assert summary["replay"]["transitions_indexed"] >= 2000
        assert (summary["replay"]["gaps"], summary["replay"]["quarantined"]) == (0, 0)
        assert summary["replay"]["dropped_transitions"] == 0
        assert summary["greedy_evaluation"]["episodes"] == 1
        folder = run.folder
        assert json.loads(folder.summary_file.read_text()) == summary
        assert {path.name for path in folder.plots.glob("*.png")} >= {"q_values.png", "loss.png"}
        assert (folder.videos / "best-lap.mp4").stat().st_size > 1000
        assert (folder.checkpoints / "latest" / "weights.safetensors").exists()
        errors = run.errors()
        assert "The preset quickstart scales the three schedules" in errors
        assert "Next: apexmania evaluate" in errors
        assert "Traceback" not in errors
        numbers = [row["n"] for row in read_rows(folder.episodes_file)]
        assert numbers == list(range(1, len(numbers) + 1))

    with Run(tmp_path, "first", "--resume", "first", "--max-env-steps", "3000") as resumed:
        code, after = resumed.end()
        assert code == 0, resumed.errors()
        assert resumed.orphans() == []
        assert after["env_steps"] >= 3000
        assert after["learner_steps"] > summary["learner_steps"]
        numbers = [row["n"] for row in read_rows(folder.episodes_file)]
        assert numbers == list(range(1, len(numbers) + 1))
        steps = [row["learner_steps"] for row in read_rows(folder.metrics_file)]
        assert steps == sorted(set(steps))

    shutil.rmtree(folder.redis / "appendonlydir")
    _resume_without_a_log(tmp_path, learner_steps=after["learner_steps"])


def _resume_without_a_log(tmp_path: Path, *, learner_steps: int) -> None:
    with Run(tmp_path, "first", "--resume", "first", "--max-env-steps", "4000") as run:
        code, summary = run.end()
        assert code == 0, run.errors()
        assert summary["learner_steps"] > learner_steps
        rows = list(read_rows(run.folder.episodes_file))
        assert [row["n"] for row in rows] == list(range(1, len(rows) + 1)), "episodes go on"
        env_steps = [row["env_steps"] for row in rows]
        assert env_steps == sorted(env_steps), "the env-step counter goes on without the log"


def test_ctrl_c_once_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with Run(tmp_path, "run", *SMALL, "--run-dir", "run") as run:
        run.until(lambda: run.learner_steps() > 30)
        temporary = (run.folder.logs / "ray-live").readlink().parents[1]
        assert temporary.is_dir()
        os.killpg(run.process.pid, signal.SIGINT)
        code, summary = run.end()
        assert code == 130, run.errors()
        assert summary["end_reason"] == "interrupted"
        assert "apexmania train --resume run" in run.errors()
        assert run.orphans() == []
        state = json.loads((run.folder.checkpoints / "latest" / "state.json").read_text())
        assert summary["learner_steps"] == _steps_in(state)
        assert not temporary.exists()


def _steps_in(state: dict[str, Any]) -> int:
    return int(state["progress"]["learner_steps"])


def test_a_killed_launcher_leaves_no_process_behind(tmp_path: Path) -> None:
    with Run(tmp_path, "run", *SMALL, "--run-dir", "run") as run:
        run.until(lambda: run.learner_steps() > 10)
        run.process.kill()
        run.process.wait()
        # Two of Ray's own agents try to report the death to the dead for a minute before they end.
        assert run.orphans(patience_s=100.0) == []
        assert not run.folder.in_use()


def test_two_runs_side_by_side_do_not_disturb_each_other_and_a_run_in_use_is_refused(
    tmp_path: Path,
) -> None:
    limit = ("--max-env-steps", "1500")
    with (
        Run(tmp_path, "one", *SMALL, "--run-dir", "one", *limit) as one,
        Run(tmp_path, "other", *SMALL, "--run-dir", "other", *limit) as other,
    ):
        one.until(lambda: one.folder.config_file.exists() and one.folder.in_use())
        with Run(tmp_path, "refused", "--resume", "one") as refused:
            assert refused.end()[0] == 2, refused.errors()
        for run in (one, other):
            code, summary = run.end()
            assert code == 0, run.errors()
            assert summary["env_steps"] >= 1500
            assert run.orphans() == []


def test_a_mistake_is_found_before_a_folder_is_made(tmp_path: Path) -> None:
    for arguments, code in (
        (("--set", "game.track=nowhere"), 2),
        (("--game", "no.such:module"), 2),
        (("--redis", "redis://127.0.0.1:1/0"), 4),
        (("--preset", "quickstrat"), 2),
        (("--set", "game.history=63"), 2),
        (("--set", "replay.capacity=1000000"), 2),
    ):
        with Run(tmp_path, "none", *arguments) as run:
            assert run.end()[0] == code, run.errors()
            assert "Traceback" not in run.errors()
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_found_before_a_folder_is_made(tmp_path: Path) -> None:
    with Run(tmp_path, "none", "--set", "learner.device=cuda") as run:
        assert run.end()[0] == 3
        assert "--set learner.device=cpu" in run.errors()
    assert not (tmp_path / "runs").exists()
