"""What a user may get wrong ends in three lines with the right exit code, never as a bug of ours."""

import json
from pathlib import Path

import numpy as np
import pytest

from actors.trackmania.reward_line import RewardLine, save_line
from actors.video import check_video_file
from common.config import Config
from common.errors import ConfigError, CorruptError, MachineError
from common.output_folder import make_output_folder
from deploy import cli, run_files
from deploy.run_folder import RunFolder

EPISODE = {"n": 1, "return": 2.0, "env_steps": 100, "finish_ms": 20_000.0}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "runs" / "mine")
    found.prepare(Config())
    return found


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Runs a command that must fail in three lines; returns its exit code and its words."""
    code = cli.main(list(words))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 3, captured.err
    assert "this is a bug" not in captured.err
    return code, captured.err


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "runs/latest", "--episodes", "0"),
        ("evaluate", "runs/latest", "--episodes", "-3"),
        ("evaluate", "runs/latest", "--seed", "-1"),
        ("record", "runs/latest", "--attempts", "0"),
        ("record", "runs/latest", "--seed", "-1"),
    ],
)
def test_impossible_numbers_are_usage_errors(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = failed(capsys, *words)
    assert code == 2
    assert words[2] in text


def test_one_machine_has_one_game_that_a_person_starts(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = failed(capsys, "train", "--game", "tm20", "--actors", "2")
    assert code == 2
    assert "--game standin --actors 2" in text


def test_a_head_without_a_display_trains_trackmania_on_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = tmp_path / "straight.npz"
    points = np.column_stack([np.arange(0.0, 90.0, 0.1), np.zeros(900), np.zeros(900)])
    save_line(RewardLine("straight", points), line)
    for name in ("DISPLAY", "PATH"):
        monkeypatch.setenv(name, "")
    words = ["train", "--game", "tm20", "--set", f"game.trackmania.reward_line={line}"]
    assert "No Ray cluster answers" in failed(capsys, *words, "--ray", "127.0.0.1:1")[1]
    code, text = failed(capsys, *words)
    assert code == MachineError.exit_code
    assert "No Ray cluster" not in text


@pytest.mark.parametrize("name", ["x.txt", "x", "folder.mp4", "file/x.mp4"])
def test_a_video_that_cannot_be_is_refused_before_a_lap(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError):
        check_video_file(tmp_path / name)


def test_a_folder_that_the_system_refuses_is_the_machines_fault() -> None:
    with pytest.raises(MachineError, match="/proc/none"):
        make_output_folder(Path("/proc/none/here"))


def test_plots_do_not_go_into_a_file(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "file"
    out.write_text("")
    code, text = failed(capsys, "plot", str(folder.path), "--out", str(out))
    assert code == 2
    assert str(out) in text


@pytest.mark.parametrize("url", ["nonsense", "redis://host:99999/0"])
def test_an_address_that_is_none_is_refused_as_train_refuses_it(
    folder: RunFolder, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = failed(capsys, "replay", "inspect", str(folder.path), "--redis", url)
    assert code == 4
    assert "is not a Redis address" in text


@pytest.mark.parametrize("junk", ["junk", "[1]", '{"n": 2}'])
def test_a_junk_line_is_named(
    folder: RunFolder, junk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.episodes_file.write_text(f"{json.dumps(EPISODE)}\n{junk}\n")
    code, text = failed(capsys, "status", str(folder.path))
    assert code == 5
    assert "episodes.jsonl, line 2, is damaged" in text


def test_a_torn_last_line_is_no_error(folder: RunFolder) -> None:
    folder.episodes_file.write_text(f'{json.dumps(EPISODE)}\n{{"n": 2, "ret')
    assert run_files.read_progress(folder).episodes == 1


@pytest.mark.parametrize("junk", ["[]", "{", '{"starts": 3}', '{"starts": [1]}'])
def test_a_damaged_record_is_named(
    folder: RunFolder, junk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.record_file.write_text(junk)
    code, text = failed(capsys, "status", str(folder.path))
    assert code == 5
    assert "run.json" in text


def test_plots_name_a_junk_line(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.metrics_file.write_text("junk\n")
    code, text = failed(capsys, "plot", str(folder.path))
    assert code == 5
    assert "metrics.jsonl, line 1," in text


def test_the_list_shows_a_damaged_run_and_goes_on(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.record_file.write_text("[]")
    good = RunFolder(tmp_path / "runs" / "other")
    good.prepare(Config())
    good.episodes_file.write_text(json.dumps(EPISODE) + "\n")
    runs = str(tmp_path / "runs")
    assert cli.main(["runs", "list", "--runs-dir", runs]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "damaged" in lines[1]
    assert "20.00" in lines[2]
    assert cli.main(["runs", "list", "--runs-dir", runs, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["episodes"] for row in rows] == [None, 1]


def test_a_file_that_holds_no_object_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    assert run_files.read_values(file) == {}
    file.write_text("[]")
    with pytest.raises(CorruptError, match="holds a list"):
        run_files.read_values(file)
