import fcntl
import json
import threading
from pathlib import Path

import pytest

from common.config import Config
from common.errors import ConfigError
from deploy import run_folder
from deploy.run_folder import RunFolder, RunLock


def test_a_new_run_gets_a_telling_name_and_the_latest_link(tmp_path: Path) -> None:
    folder = run_folder.create(runs=tmp_path, preset="quickstart")
    assert "-quickstart-" in folder.name
    assert (tmp_path / "latest").resolve() == folder.path
    another = run_folder.create(runs=tmp_path, preset=None)
    assert "-proven-" in another.name
    assert (tmp_path / "latest").resolve() == another.path


def test_prepare_writes_the_resolved_configuration(tmp_path: Path) -> None:
    folder = run_folder.create(runs=tmp_path, preset=None)
    config = Config.model_validate({"learner": {"batch_size": 64}})
    folder.prepare(config)
    assert folder.read_config() == config
    assert run_folder.open_run(folder.path) == folder
    assert run_folder.all_runs(tmp_path) == [folder]


def test_a_folder_that_holds_a_run_is_not_used_for_a_new_one(tmp_path: Path) -> None:
    folder = run_folder.create(runs=tmp_path, preset=None, path=tmp_path / "mine")
    folder.prepare(Config())
    with pytest.raises(ConfigError, match="already holds a run"):
        run_folder.create(runs=tmp_path, preset=None, path=tmp_path / "mine")


def test_a_run_in_use_is_refused_with_the_holder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not folder.in_use()
    with RunLock(folder):
        assert folder.in_use()
        with pytest.raises(ConfigError, match=r"(?s)in use.*kill -INT \d+"), RunLock(folder):
            pytest.fail("two processes hold one run")
    assert not folder.in_use()


def test_to_ask_whether_a_run_is_in_use_changes_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with RunLock(folder):
        pass
    folder.lock_file.write_text("4711")
    folder.lock_file.chmod(0o444)
    before = folder.lock_file.stat()
    assert not folder.in_use()
    after = folder.lock_file.stat()
    assert folder.lock_file.read_text() == "4711"
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)


def test_readers_do_not_disturb_each_other_and_a_start_waits_for_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.lock_file.touch()
    with folder.lock_file.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert not folder.in_use()
        release = threading.Timer(0.3, fcntl.flock, (reader, fcntl.LOCK_UN))
        release.start()
        with RunLock(folder):
            assert folder.in_use()
        release.join()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no run"):
        run_folder.open_run(tmp_path)


def test_the_latest_of_no_runs_is_no_mistake_of_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run yet") as refused:
        run_folder.open_run(tmp_path / "runs" / "latest")
    assert refused.value.fix == "apexmania train --preset quickstart"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    run_folder.write_json(file, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        run_folder.write_json(file, {"a": float("nan")})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
