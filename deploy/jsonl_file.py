"""A file of rows, each written exactly once."""

import json
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.run_files import read_rows
from deploy.run_progress import Row

_ID = "_id"
Entries = Sequence[tuple[bytes, Row]]


class JsonlFile:
    """A file of rows that remembers in each line which entry of the stream it came from.

    The id travels in the line itself, so there is no second file that could disagree: what was
    written is known after any crash, and a torn last line is cut off and read again.

    Args:
        path: the file.
        may_be_damaged: whether nothing depends on its rows: they are not looked at then.
    """

    def __init__(self, path: Path, *, may_be_damaged: bool = False) -> None:
        self._path = path
        _cut_torn_line(path)
        newest = deque(() if may_be_damaged else read_rows(path), maxlen=1)
        self.last_id: bytes | None = str(newest[0][_ID]).encode() if newest else None

    def append(self, entries: Entries) -> list[Row]:
        """Writes entries of the stream in one go and returns their rows."""
        if entries:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(
                    json.dumps({**_finite(row), _ID: entry_id.decode()}, allow_nan=False) + "\n"
                    for entry_id, row in entries
                )
            self.last_id = entries[-1][0]
        return [row for _, row in entries]


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row with numbers that JSON has no word for replaced by null."""
    return {
        key: None if isinstance(value, float) and value - value != 0.0 else value
        for key, value in row.items()
    }


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)
