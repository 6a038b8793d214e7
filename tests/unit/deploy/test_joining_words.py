"""What the commands around joining say where there is nothing, or one of something."""

from pathlib import Path

import pytest

from deploy import cli
from deploy.join_string import Invitation, encode_invitation
from deploy.joined_status import JoinedStatus, drive_line
from deploy.tokens import create_token

HEART = {
    "fps": 20.0,
    "env_steps": 100,
    "param_version": 3,
    "spooled_segments": 1,
    "spooled_bytes": 2_000_000,
    "dropped_transitions": 0,
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))


def test_lists_of_nothing_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (("token", "nobody may join yet"), ("actor", "has joined nothing")):
        assert cli.main([words, "list"]) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        assert said in captured.err
        assert cli.main([words, "list", "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.out.strip() == "[]"
        assert captured.err == ""


def test_lists_have_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    create_token("pc", address="h:1")
    line = encode_invitation(Invitation("192.0.2.1", 6390, "pc", "secret", tls=False))
    assert cli.main(["actor", "store", line]) == 0
    capsys.readouterr()
    for words in ("token", "actor"):
        assert cli.main([words, "list"]) == 0
        heading, row = capsys.readouterr().out.splitlines()
        assert heading.startswith("name ")
        assert row.startswith("pc ")


def test_an_empty_join_string_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["actor", "join", ""]) == 2
    assert "The join string is empty." in capsys.readouterr().err


def test_who_never_joined_cannot_leave(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["actor", "leave", "nobody"]) == 2
    assert "fix: apexmania actor list" in capsys.readouterr().err


def test_a_refusal_in_mid_drive_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    status = JoinedStatus("pc", "head:6390")
    for reachable, refusal in ((True, ""), (False, ""), (False, "user is disabled")):
        status.show("a", HEART, reachable=reachable, refusal=refusal)
    away, refused = capsys.readouterr().err.splitlines()
    assert away.endswith("the head is away, driving goes on into the spool")
    assert "the head refuses this actor (user is disabled), driving goes on" in refused


def test_one_segment_is_no_segments() -> None:
    assert "spool 1 segment (2.0 MB)" in drive_line("a", HEART, reachable=True)
