import ast
import re
from pathlib import Path

import pytest

from actors.trackmania import tee
from actors.trackmania.game_trouble import TROUBLES, Trouble
from actors.trackmania.telemetry_watch import CAUSES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "tm20.md").read_text(encoding="utf-8")
RAISERS = {"GameFaultError", "GameNotReadyError", "troubled"}


def _named_causes() -> set[str]:
    """Returns the causes that the code names literally where it reports trouble."""
    causes = set()
    for path in [*(ROOT / "actors").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in RAISERS:
                place = 1 if node.func.id == "troubled" else 0
                word = node.args[place]
                if isinstance(word, ast.Constant):
                    causes.add(str(word.value))
    return causes


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_cause_has_a_section_of_the_documentation_to_which_its_anchor_leads(
    trouble: Trouble,
) -> None:
    page, anchor = trouble.anchor.split("#")
    assert (ROOT / page).exists()
    assert re.search(rf"(?m)^### {anchor}$", PAGE)
    assert trouble.meaning.endswith(".")
    assert trouble.fix


def test_the_documentation_explains_no_cause_that_there_is_not() -> None:
    explained = PAGE.split("## When something is wrong")[1].split("\n## ")[0]
    assert sorted(re.findall(r"(?m)^### (\w+)$", explained)) == sorted(TROUBLES)


def test_no_cause_is_in_the_table_twice() -> None:
    from actors.trackmania.game_trouble import _TABLE  # noqa: PLC0415 - the rows behind the table

    assert len(_TABLE) == len(TROUBLES)


def test_what_the_code_reports_is_in_the_table() -> None:
    assert _named_causes() - set(TROUBLES) == set()


def test_every_state_of_the_telemetry_that_is_no_flow_has_a_cause_of_the_table() -> None:
    states = {tee.REFUSED, tee.SILENT, tee.STALLED, tee.CLOSED, tee.MISFRAMED, tee.BROKEN}
    assert set(CAUSES) == states
    assert set(CAUSES.values()) <= set(TROUBLES)
    assert CAUSES[tee.SILENT] == "not_on_map"
