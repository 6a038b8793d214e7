"""What a check found, in a shape that prints and that a program can read."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from actors.trackmania.game_trouble import TROUBLES

Level = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        level: ok, warn (it works, but), fail, or skip (something that it needs failed).
        found: what is there.
        fix: what to do, empty where all is well.
        cause: the name in ``actors.trackmania.game_trouble`` of what is wrong with the game's link, else empty.
        docs: where to read on, or empty.
        figures: what was measured; the unit is at the end of each name.
    """

    check: str
    level: Level
    found: str
    fix: str = ""
    cause: str = ""
    docs: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)


def troubled(
    check: str, cause: str, found: str, *, figures: dict[str, float] | None = None
) -> Finding:
    """Returns a failure whose meaning and fix are in the table of troubles.

    Args:
        check: its name.
        cause: which trouble.
        found: what was seen of it here.
        figures: what was measured.
    """
    trouble = TROUBLES[cause]
    return Finding(
        check,
        "fail",
        f"{trouble.meaning} {found}".rstrip(),
        trouble.fix,
        cause=cause,
        docs=trouble.anchor,
        figures=figures or {},
    )


def skipped(check: str, needed: str) -> Finding:
    """Returns that a check had to be left out.

    Args:
        check: its name.
        needed: the check that did not pass.
    """
    return Finding(check, "skip", f"skipped: needs {needed}")
