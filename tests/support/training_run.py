"""A training started through the command line, watched from outside."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil

from deploy.run_files import read_rows
from deploy.run_folder import RunFolder

SMALL = (
    "--preset", "quickstart",
    "--set", "replay.samples_per_insert=2",
    "--set", "replay.capacity=4000",
    "--set", "learner.replay_start_size=200",
    "--set", "learner.metrics_period_learner_steps=10",
    "--set", "game.max_episode_steps=200",
    "--set", "checkpoint.min_period_s=1",
    "--set", "evaluation.every_s=2",
    "--set", "evaluation.episodes=1",
    "--set", "evaluation.stop_at_finish_rate=null",
)  # fmt: skip
PATIENCE_S = 240.0


class Run:
    """A training that was started in a process group of its own, with every child it ever had."""

    def __init__(self, runs: Path, name: str, *arguments: str) -> None:
        self.folder = RunFolder(runs / name)
        self._errors = runs / f"{name}.err"
        code = "import sys; from deploy.cli import main; sys.exit(main())"
        with self._errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "train", *arguments, "--json"],
                cwd=runs,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.children: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.errors()
            assert self.process.poll() is None, self.errors()
            self._note_children()
            time.sleep(0.1)

    def end(self) -> tuple[int, dict[str, Any]]:
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.errors()
            self._note_children()
            time.sleep(0.1)
        out = self.process.communicate()[0]
        return self.process.returncode, json.loads(out) if out.strip() else {}

    def orphans(self, patience_s: float = 20.0) -> list[str]:
        _, alive = psutil.wait_procs(list(self.children.values()), timeout=patience_s)
        return [" ".join(process.cmdline())[:200] for process in alive]

    def learner_steps(self) -> int:
        rows = list(read_rows(self.folder.metrics_file))
        return int(rows[-1]["learner_steps"]) if rows else 0

    def errors(self) -> str:
        return self._errors.read_text()

    def child(self, title: str) -> psutil.Process:
        self._note_children()
        for process in self.children.values():
            try:
                if title in " ".join(process.cmdline()):
                    return process
            except psutil.NoSuchProcess:
                continue
        raise AssertionError(f"no child {title}")

    def _note_children(self) -> None:
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        self.children |= {process.pid: process for process in found}
