"""What a run leaves behind also where its closing laps fail or are cut short."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from common.config import Config
from common.errors import CorruptError
from deploy.aftermath import finish_run
from deploy.console import PlainConsole
from deploy.greedy_laps import Driver
from deploy.interrupts import Interrupts
from deploy.launcher import Outcome
from deploy.run_files import read_progress
from deploy.run_folder import RunFolder, write_text


def _raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def _ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


_ENDS = [
    pytest.param(_raising(CorruptError("a", "b", "c")), id="damaged"),
    pytest.param(_raising(OSError(28, "No space left on device")), id="disk full"),
    pytest.param(_raising(RuntimeError("the game crashed")), id="crash"),
    pytest.param(_ctrl_c, id="one Ctrl-C"),
]


def _folder(path: Path) -> RunFolder:
    folder = RunFolder(path / "run")
    folder.path.mkdir()
    folder.prepare(Config())
    row = {"n": 1, "return": 3.0, "env_steps": 100, "finish_ms": None}
    write_text(folder.episodes_file, json.dumps(row) + "\n")
    return folder


def _finish(folder: RunFolder, outcome: Outcome, interrupts: Interrupts) -> dict[str, object]:
    return finish_run(
        folder,
        config=Config(),
        progress=read_progress(folder),
        outcome=outcome,
        wall_s=1.0,
        console=PlainConsole(Console()),
        interrupts=interrupts,
    )


@pytest.mark.parametrize("end", _ENDS)
def test_summary_and_plots_are_there_before_the_laps_and_stay(
    end: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path)
    seen: list[bool] = []

    def open_driver(_: Path) -> Driver:
        seen.append(folder.summary_file.exists() and any(folder.plots.glob("*.png")))
        end()
        raise AssertionError("the laps went on")

    monkeypatch.setattr("deploy.aftermath.open_driver", open_driver)
    with Interrupts() as interrupts:
        summary = _finish(folder, Outcome(reason="done", ended_well=True), interrupts)
    assert seen == [True]
    assert json.loads(folder.summary_file.read_text()) == summary
    assert summary["episodes"] == 1


def test_nobody_drives_after_a_request_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.aftermath.open_driver", lambda _: pytest.fail("it drives"))
    with Interrupts() as interrupts:
        _ctrl_c()
        _finish(_folder(tmp_path), Outcome(reason="done", ended_well=True), interrupts)
    assert "laps" not in capsys.readouterr().out
