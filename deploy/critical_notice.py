"""The guard of the three critical settings: it does not forbid, it says so."""

from common.config import Config
from common.critical import critical_changes, value_at
from deploy.config_file import load_config

FOR_SHORT_RUNS = ("quickstart", "breakout")
"""Presets that scale the three schedules on purpose; the others are asked to explain themselves."""


def critical_notice(config: Config, *, preset: str) -> str:
    """Returns what to tell of a configuration, or nothing where it keeps the proven values.

    Args:
        config: resolved configuration.
        preset: its starting point.
    """
    short = load_config(preset=preset) if preset in FOR_SHORT_RUNS else Config()
    changes = critical_changes(config)
    scaled = [
        change
        for change in changes
        if preset in FOR_SHORT_RUNS and value_at(short, change[0]) == change[2]
    ]
    own = [change for change in changes if change not in scaled]
    return "\n".join(_scaled_lines(preset, scaled) + _own_lines(own))


def _scaled_lines(preset: str, changes: list[tuple[str, object, object]]) -> list[str]:
    if not changes:
        return []
    return [
        f"The preset {preset} scales the three schedules (target copies, learning rate, exploration)",
        "to a run of minutes. This is intended; the proven values are made for millions of env steps:",
        *_listed(changes),
    ]


def _own_lines(changes: list[tuple[str, object, object]]) -> list[str]:
    if not changes:
        return []
    return [
        "NOTE: this run changes critical settings, which separated the run that learned from the",
        "one that collapsed to Q = -40,000:",
        *_listed(changes),
        "Watch Q: it should grow from 0 and stay positive. The proven values: --preset proven",
    ]


def _listed(changes: list[tuple[str, object, object]]) -> list[str]:
    return [f"  {key}: {proven} -> {chosen}" for key, proven, chosen in changes]
