"""The guard of the three critical settings: it does not forbid, it says so."""

from common.config import Config
from common.critical import critical_changes


def critical_notice(config: Config) -> str:
    """Returns the notice for a configuration, or nothing where it keeps the proven values."""
    changes = critical_changes(config)
    if not changes:
        return ""
    lines = [f"  {key}: {proven} -> {chosen}" for key, proven, chosen in changes]
    return "\n".join(
        (
            "NOTE: this run changes critical settings, which separated the run that learned from the",
            "one that collapsed to Q = -40,000:",
            *lines,
            "Watch Q: it should grow from 0 and stay positive. The proven values: --preset proven",
        )
    )
