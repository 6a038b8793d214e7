"""Our package names are plain words; this finds strays that would be imported instead of ours."""

import importlib.util
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from common.contract import PACKAGES

_OURS = "apexmania"


def import_name_problems(names: Iterable[str] = PACKAGES) -> list[str]:
    """Returns what is wrong with the import names, nothing where all is well.

    Args:
        names: top-level packages that must be ours.
    """
    root = Path(__file__).resolve().parent.parent
    owners = packages_distributions()
    problems = []
    for name in names:
        foreign = sorted(set(owners.get(name, [])) - {_OURS})
        if foreign:
            problems.append(f"{name} also belongs to the installed {', '.join(foreign)}")
        spec = importlib.util.find_spec(name)
        origin = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if origin != root / name / "__init__.py":
            problems.append(
                f"{name} is imported from {origin or 'nowhere'}, not from {root / name}"
            )
    return problems
