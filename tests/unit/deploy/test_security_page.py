"""The page on security shows the rights that the code grants."""

from pathlib import Path

from tests.support.access_table import access_table

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
BEGIN, END = "test_security_page.py -->\n", "\n<!-- end of the table -->"


def test_the_table_is_that_of_the_code() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown == access_table(), "write tests.support.access_table anew into the page"
