import json
import signal
import time
from pathlib import Path

import psutil
import pytest

from common.config import Config, WandbConfig
from deploy.run_folder import RunFolder, write_text
from deploy.side_process import WandbProcess

pytestmark = pytest.mark.slow


def _folder(path: Path) -> RunFolder:
    folder = RunFolder(path / "a-run")
    folder.path.mkdir()
    folder.prepare(Config())
    rows = [{"learner_steps": 100 * i, "loss": 1.0 / i, "_id": f"{i}-0"} for i in range(1, 20)]
    write_text(folder.metrics_file, "".join(json.dumps(row) + "\n" for row in rows))
    change = {
        "check": "q_value", "before": "ok", "state": "red", "figure": "mean Q", "value": -20.0,
        "bound": "at least -10", "meaning": "values collapse", "remedy": "stop the run", "_id": "1",
    }  # fmt: skip
    healed = change | {"before": "red", "state": "ok"}
    quiet = change | {"check": "loss", "state": "watch"}
    changes = (change, healed, quiet)
    write_text(folder.health_file, "".join(json.dumps(row) + "\n" for row in changes))
    return folder


def test_rows_are_written_offline_and_the_process_ends_with_its_block(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    with WandbProcess(folder, WandbConfig()) as sink:
        assert sink.pid is not None
        pid = sink.pid
        written = folder.path / "wandb"
        deadline = time.monotonic() + 60
        while not list(written.glob("offline-run-*/*.wandb")):
            assert time.monotonic() < deadline, (folder.logs / "wandb.log").read_text()
    assert not psutil.pid_exists(pid)
    (file,) = written.glob("offline-run-*/*.wandb")
    content = file.read_bytes()
    assert b"learner/loss" in content
    assert b"q_value turned red" in content
    assert b"q_value healed" in content
    assert b"loss turned" not in content


def test_its_death_is_nobodys_concern(tmp_path: Path) -> None:
    with WandbProcess(_folder(tmp_path), WandbConfig()) as sink:
        assert sink.pid is not None
        psutil.Process(sink.pid).send_signal(signal.SIGKILL)


def test_disabled_starts_nothing_and_online_without_a_key_stays_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    folder = _folder(tmp_path)
    with WandbProcess(folder, WandbConfig(mode="disabled")) as sink:
        assert sink.pid is None
    assert WandbProcess(folder, WandbConfig(mode="online")).mode == "offline"
