"""A cluster's file whose machines do not answer: all are named, with a login that can be typed."""

import shutil
from pathlib import Path

import pytest

from deploy import cli

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh")
ABSENT = ("127.0.0.2", "127.0.0.3")
_FILE = """\
cluster_name: absent
provider:
  type: local
  head_ip: {0}
  worker_ips: [{1}]
auth:
  ssh_user: nobody-here
  ssh_private_key: {key}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))
    key, file = tmp_path / "key", tmp_path / "absent.yaml"
    key.touch(mode=0o600)
    file.write_text(_FILE.format(*ABSENT, key=key))
    return file


def test_up_names_every_machine_that_is_not_ready(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cluster", "up", str(file)]) in (4, 5)
    said = capsys.readouterr().err
    assert "2 machines cannot be set up" in said
    for address in ABSENT:
        assert f"{address} does not" in said
        assert f"-i {file.parent / 'key'} nobody-here@{address}" in said


def test_logs_of_nobody_are_a_failure(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cluster", "logs", str(file)]) == 4
    assert capsys.readouterr().out.count("#####") == len(ABSENT)


def test_a_machine_without_a_node_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert file.exists()
    assert cli.main(["cluster", "node", "status"]) == 3
    assert capsys.readouterr().out == "There is no node of a cluster on this machine.\n"
