"""Who is shut out is shown with a command that can be followed."""

import shlex

import pytest

from deploy.command_help import COMMANDS
from deploy.refused import Refused


@pytest.mark.parametrize(
    ("name", "others"), [("pc", ["token revoke pc"]), ("actor-0", []), ("actor-12", [])]
)
def test_the_fix_can_be_followed(name: str, others: list[str]) -> None:
    (_, reason), (_, fix) = Refused(banned={name: "floods"}).lines()
    assert reason == f"{name}: floods"
    assert f"apexmania token pardon {name}" in fix
    assert [words in fix for words in others] == [True] * len(others)
    assert ("revoke" in fix) == bool(others), "an actor that Ray drives has no token"
    known = {(command.group, command.name) for command in COMMANDS}
    for part in fix.split("apexmania ")[1:]:
        group, command = shlex.split(part)[:2]
        assert (group, command) in known
