"""What the Redis of a run holds, as tables for a person."""

import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from deploy.refused import pardon_command

_ACROSS = 5
"""Processes beside one another in a table of heartbeats."""
_NAMES_ONLY = {"pid", "epoch"}
"""Numbers that name something and are not counted."""
_IN_THE_HEADING = {"role", "actor"}
_MISSING = "-"
_WIDTH = 80
_DIGITS = 3
"""Significant digits of a number in a list."""

Heart = Mapping[str, Any]


def inspection_text(values: Mapping[str, Any]) -> str:
    """Returns what ``live_run.inspect`` found: totals, streams, logs, and a table for each role.

    Args:
        values: as it returns them.
    """
    used, limit = values["used_memory_bytes"] or 0, values["max_memory_bytes"] or 0
    full = ", full: it refuses writes" if values["full"] else ""
    blocks = [
        [
            f"run    {values['run']}",
            f"redis  {values['redis']}, {used / 1e6:,.1f} of {limit / 1e6:,.0f} MB{full}",
        ],
        _table(
            [["stream", "entries"], *([name, f"{n:,}"] for name, n in values["entries"].items())]
        ),
        _table([["log of", "segments", "MB of frames"], *_logs(values["actors"])]),
        _table([["refused", "entries"], *_refused(values["refused"])]),
        ["shut out", *_banned(values["banned"])],
        *_hearts(values["hearts"]),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if len(lines) > 1)


def _logs(actors: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, actor in actors.items():
        megabytes = (actor["frames_bytes"] or 0) / 1e6
        yield [name, f"{actor['segments']:,}", f"{megabytes:,.1f}"]


def _refused(refused: Mapping[str, Mapping[str, int]]) -> Iterator[list[str]]:
    for name, counts in refused.items():
        for kind, count in sorted(counts.items()):
            yield [f"{name}: {kind}", f"{count:,}"]


def _banned(banned: Mapping[str, str]) -> Iterator[str]:
    for name, reason in banned.items():
        yield f"{name}  {reason}"
        yield f"  let in again: {pardon_command(name)}"


def _hearts(hearts: Mapping[str, Heart]) -> Iterator[list[str]]:
    """Yields tables of heartbeats: one fact a line, one column a process, one role a table; lists below it."""
    by_role = sorted(hearts.items(), key=lambda item: (_role(item[1]), item[0]))
    for role, members in groupby(by_role, key=lambda item: _role(item[1])):
        processes = list(members)
        for first in range(0, len(processes), _ACROSS):
            shown = processes[first : first + _ACROSS]
            named = (
                fact
                for _, heart in shown
                for fact, value in heart.items()
                if not isinstance(value, list)
            )
            facts = [fact for fact in dict.fromkeys(named) if fact not in _IN_THE_HEADING]
            table = _table(
                [
                    [role, *(name for name, _ in shown)],
                    *(
                        [fact, *(_shown(fact, heart.get(fact)) for _, heart in shown)]
                        for fact in facts
                    ),
                ]
            )
            yield [*table, *(line for name, heart in shown for line in _lists(name, heart))]


def _lists(name: str, heart: Heart) -> Iterator[str]:
    """Yields the lists of a heartbeat, rounded and wrapped: no column is as wide as they are."""
    for fact, value in heart.items():
        if isinstance(value, list):
            shown = " ".join(
                f"{one:.{_DIGITS}g}" if isinstance(one, float) else str(one) for one in value
            )
            yield from textwrap.wrap(
                f"{fact} of {name}: {shown or _MISSING}", _WIDTH, subsequent_indent="  "
            )


def _role(heart: Heart) -> str:
    return str(heart.get("role", "process"))


def _shown(fact: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _shown_number(fact, value)
    if isinstance(value, Mapping):
        return " ".join(f"{name}:{count}" for name, count in value.items()) or _MISSING
    return _MISSING if value is None or value == "" else str(value)


def _shown_number(fact: str, value: float) -> str:
    if fact == "time":
        return time.strftime("%H:%M:%S", time.localtime(value))
    if fact in _NAMES_ONLY:
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}".rstrip("0").rstrip(".")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns lines with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
