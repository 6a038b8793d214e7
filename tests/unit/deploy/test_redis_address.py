import subprocess
from pathlib import Path

import pytest

from common.config import Config
from deploy import cli
from deploy.redis_address import VARIABLE, given_address, redacted, redacted_text, take_address
from deploy.run_folder import RunFolder
from deploy.run_record import RunRecord


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("redis://u:secret@h:1/0", "redis://u:***@h:1/0"),
        ("redis://secret@h", "redis://:***@h"),
        ("redis://h:1/0?password=secret", "redis://h:1/0"),
        ("redis://h:1/0?username=u&password=se@cret", "redis://***"),
        ("rediss://:se@cret@h:1/0", "rediss://:***@h:1/0"),
        ("redis://:se/cret@h:1/0", "redis://***"),
        ("redis://:se?cret@h:1/0", "redis://***"),
        ("redis://:se#cret@h:1/0", "redis://***"),
        ("redis://[secret/0", "redis://***"),
        ("unix://:secret@/run/redis.sock?db=1", "unix://:***@/run/redis.sock"),
        ("redis://h:1/0", "redis://h:1/0"),
        ("train", "train"),
    ],
)
def test_no_part_of_a_password_is_shown(address: str, shown: str) -> None:
    assert redacted(address) == shown


def test_addresses_inside_words_are_redacted() -> None:
    assert redacted_text("--redis=redis://:secret@h:1/0 --x") == "--redis=redis://:***@h:1/0 --x"


@pytest.mark.parametrize("debug", [True, False])
def test_the_text_of_a_bug_holds_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, debug: bool
) -> None:
    def fail(tokens: list[str]) -> int:
        raise RuntimeError(f"cannot use {tokens[2]}")

    monkeypatch.setattr(cli, "_run", fail)
    words = ["train", "--redis", "redis://:secret@h:1/0", *(["--debug"] if debug else [])]
    assert cli.main(words) == 1
    text = capsys.readouterr().err
    assert "secret" not in text
    assert "redis://:***@h:1/0" in text


def test_a_usage_error_holds_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--actors", "redis://:secret@h:1/0"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert given_address(None) is None
    monkeypatch.setenv(VARIABLE, "redis://env")
    assert given_address(None) == "redis://env"
    assert given_address("redis://option") == "redis://option"
    monkeypatch.setenv(VARIABLE, "")
    assert given_address(None) is None


@pytest.mark.parametrize(("began_with", "found"), [("private", None), ("redis://h", "redis://env")])
def test_a_resumed_run_keeps_to_the_kind_of_redis_it_began_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, began_with: str, found: str | None
) -> None:
    monkeypatch.setenv(VARIABLE, "redis://env")
    folder = RunFolder(tmp_path)
    folder.prepare(Config())
    RunRecord.open(folder).begin(config=Config(), preset="proven", redis=began_with, command=[])
    assert given_address(None, resume=tmp_path) == found


def test_train_takes_the_address_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "nonsense")
    assert cli.main(["train", "--game", "tests.support.tiny_games:corridor"]) == 4
    assert "is not a Redis address" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_inspect_takes_it_only_for_a_run_on_such_a_redis(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "nonsense")
    folder = RunFolder(tmp_path)
    folder.prepare(Config())
    assert cli.main(["replay", "inspect", str(tmp_path)]) == 2
    RunRecord.open(folder).begin(config=Config(), preset="proven", redis="redis://h", command=[])
    assert cli.main(["replay", "inspect", str(tmp_path)]) == 4
    assert "is not a Redis address" in capsys.readouterr().err


def test_an_address_that_was_taken_is_inherited_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "redis://:secret@host")
    assert take_address(None) == "redis://:secret@host"
    shown = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert "secret" not in shown
