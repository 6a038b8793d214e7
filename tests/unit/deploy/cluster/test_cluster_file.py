"""The one file that a person edits, and the edits that are made to it."""

from pathlib import Path

import pytest
import yaml

from common.errors import ConfigError
from deploy.cluster.cluster_edit import added, removed
from deploy.cluster.cluster_file import PROJECT, read_cluster_file, with_worker, without_worker

_TEXT = """\
# mine
cluster_name: mine
provider:
  type: local
  head_ip: 10.0.0.1
  worker_ips:  # those that drive
    - 10.0.0.2 # the loud one
    - 10.0.0.3
auth:
  ssh_user: me  # everywhere
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(_TEXT)
    return path


def _workers(text: str) -> list[str]:
    found: list[str] = yaml.safe_load(text)["provider"]["worker_ips"]
    return found


def test_it_names_all_machines_the_head_first(file: Path) -> None:
    assert read_cluster_file(file).machines == ("10.0.0.1", "10.0.0.2", "10.0.0.3")


def test_a_worker_is_added_as_a_line_and_nothing_else_changes(file: Path) -> None:
    expected = _TEXT.replace("    - 10.0.0.3\n", "    - 10.0.0.3\n    - 10.0.0.4\n")
    assert with_worker(file, "10.0.0.4") == expected


def test_a_worker_is_taken_off_as_a_line_and_nothing_else_changes(file: Path) -> None:
    assert without_worker(file, "10.0.0.2") == _TEXT.replace("    - 10.0.0.2 # the loud one\n", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[10.0.0.2,10.0.0.3] # two", ["10.0.0.2", "10.0.0.3", "10.0.0.4"]),
        ("[10.0.0.2]", ["10.0.0.2", "10.0.0.4"]),
        ("[]", ["10.0.0.4"]),
    ],
)
def test_a_list_in_brackets_takes_a_worker_too(file: Path, before: str, after: list[str]) -> None:
    text = _TEXT.replace(
        " # those that drive\n    - 10.0.0.2 # the loud one\n    - 10.0.0.3", f" {before}"
    )
    file.write_text(text)
    assert _workers(with_worker(file, "10.0.0.4")) == after
    assert with_worker(file, "10.0.0.4").count("#") == text.count("#")


@pytest.mark.parametrize("brackets", [True, False])
def test_the_last_worker_can_be_taken_off_and_one_be_added_again(
    file: Path, *, brackets: bool
) -> None:
    items = " [10.0.0.2]" if brackets else "\n    - 10.0.0.2"
    file.write_text(
        _TEXT.replace("  # those that drive\n    - 10.0.0.2 # the loud one\n    - 10.0.0.3", items)
    )
    without = without_worker(file, "10.0.0.2")
    assert _workers(without) == []
    file.write_text(without)
    assert _workers(with_worker(file, "10.0.0.9")) == ["10.0.0.9"]
    assert read_cluster_file(file).user == "me"


def test_an_edit_is_kept_only_if_its_block_ends_well(file: Path) -> None:
    with pytest.raises(ZeroDivisionError), added(file, "10.0.0.4"):
        _ = 1 / file.read_text().count("10.0.0.5")
    assert file.read_text() == _TEXT
    with added(file, "10.0.0.4") as changed:
        assert changed.workers[-1] == "10.0.0.4"
    with removed(file, "10.0.0.4"):
        pass
    assert file.read_text() == _TEXT
    assert [path.name for path in file.parent.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("type: local", "type: aws", "ray up alone"),
        ("head_ip: 10.0.0.1", "head_ip: desk", "no IP address"),
        ("10.0.0.3", "10.0.0.2", "twice"),
        ("  head_ip: 10.0.0.1\n", "", "head_ip"),
        ("ssh_user: me", "ssh_user: you", "examples"),
        ("ssh_user: me", "ssh_user: me\n  ssh_private_key: /nowhere/key", "does not exist"),
        ("provider:", "provider: [", "while parsing"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(file: Path, old: str, new: str, why: str) -> None:
    file.write_text(_TEXT.replace(old, new))
    with pytest.raises(ConfigError, match=why):
        read_cluster_file(file)


@pytest.mark.parametrize(
    ("address", "why"), [("10.0.0.2", "already"), ("10.0.0.1", "already"), ("pc", "no IP")]
)
def test_an_address_that_cannot_be_added_is_refused(file: Path, address: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        with_worker(file, address)


def test_who_is_no_worker_cannot_be_taken_off(file: Path) -> None:
    with pytest.raises(ConfigError, match="no worker"):
        without_worker(file, "10.0.0.1")


def test_the_shipped_file_wants_to_be_edited_first() -> None:
    with pytest.raises(ConfigError, match="shipped with"):
        read_cluster_file(PROJECT / "deploy" / "cluster" / "on-premise.yaml")
