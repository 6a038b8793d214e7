"""Reads the JSON files of a run and names what is damaged in them, by file and line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from common.errors import CorruptError
from deploy.run_folder import RunFolder
from deploy.run_progress import RunProgress

Row = dict[str, Any]
_log = structlog.get_logger()


def read_values(file: Path) -> Row:
    """Returns what a JSON file holds; empty where there is no file.

    Raises:
        CorruptError: it does not hold one JSON object.
    """
    if not file.exists():
        return {}
    return _parse(file.read_bytes(), place=str(file))


def read_rows(file: Path) -> Iterator[Row]:
    """Yields the rows of a JSONL file; a last line that a crash tore off is left out.

    Raises:
        CorruptError: a whole line is not one JSON object.
    """
    yield from (row for _, row in _numbered_rows(file))


def read_sound_rows(file: Path) -> Iterator[Row]:
    """Yields the rows of a JSONL file that nothing depends on; what is damaged is warned of and passed over."""
    for place, line in _numbered_lines(file):
        try:
            yield _parse(line, place=place)
        except CorruptError as error:
            _log.warning("row_passed_over", what=error.what, why=error.why)


def read_progress(folder: RunFolder) -> RunProgress:
    """Returns the totals of what a run folder holds.

    Raises:
        CorruptError: a line is damaged.
    """
    progress = RunProgress()
    _add_all(folder.metrics_file, progress.add_metrics)
    _add_all(folder.episodes_file, progress.add_episode)
    _add_all(folder.evaluations_file, progress.add_evaluation)
    return progress


def _add_all(file: Path, add: Callable[[Row], None]) -> None:
    for place, row in _numbered_rows(file):
        try:
            add(row)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(place, f"{type(error).__name__}: {error}") from error


def _numbered_rows(file: Path) -> Iterator[tuple[str, Row]]:
    for place, line in _numbered_lines(file):
        yield place, _parse(line, place=place)


def _numbered_lines(file: Path) -> Iterator[tuple[str, bytes]]:
    if not file.exists():
        return
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.endswith(b"\n"):
                yield f"{file}, line {number},", line


def _parse(text: bytes, *, place: str) -> Row:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise _damaged(place, str(error)) from error
    if not isinstance(values, dict):
        raise _damaged(place, f"it holds a {type(values).__name__}, not an object")
    return values


def _damaged(place: str, why: str) -> CorruptError:
    return CorruptError(
        f"{place} is damaged.", why, "restore the file from a copy, or delete what is named"
    )
