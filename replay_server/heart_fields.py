"""What a heartbeat may say: known facts of a known type, and other short ones that do no harm.

A heartbeat is shown on terminals and summed up by the launcher, and an actor writes into its own what it
likes. Whoever reads one gets only what has passed here, so that nobody else must doubt it.
"""

import math
import re

from common.wire import MAX_COUNTER

_Heart = dict[str, object]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_FIELDS = 64
MAX_TEXT_CHARACTERS = 200
MAX_PICTURE_BYTES = 4096
MAX_CAUSES = 32
NUMBERS = frozenset(
    {
        *("time", "pid", "epoch", "seq", "env_steps", "fps", "late_steps", "episode"),
        *("faults", "env_restarts", "appended_segments", "appended_transitions"),
        *("acked_transitions", "spooled_segments", "spooled_bytes", "dropped_transitions"),
        *("resent_segments", "weights_corrupt", "weights_refused", "staleness"),
    }
)
"""Facts that are numbers at all times; others may be missing for a while."""
TEXTS = frozenset({"role", "actor", "host", "game_state", "doing", "device"})
COUNTS_BY_NAME = frozenset({"fault_causes"})
PICTURES = frozenset({"frame"})
LISTS = frozenset({"priority_histogram", "priority_edges"})
MAX_LIST = 64


def clean(fields: object) -> _Heart | None:
    """Returns what of a decoded heartbeat may be believed to be of its type; None where it is no map."""
    if not isinstance(fields, dict) or len(fields) > MAX_FIELDS:
        return None
    heart: _Heart = {}
    for name, value in fields.items():
        if isinstance(name, str) and _NAME.fullmatch(name) and _fits(name, value):
            heart[name] = value
    return heart


def _fits(name: str, value: object) -> bool:
    if name in NUMBERS:
        return _is_number(value)
    if name in TEXTS:
        return _is_text(value)
    if name in COUNTS_BY_NAME:
        return _are_counts(value)
    if name in LISTS:
        return isinstance(value, list) and len(value) <= MAX_LIST and all(map(_is_number, value))
    if name in PICTURES:
        return isinstance(value, bytes) and len(value) <= MAX_PICTURE_BYTES
    return value is None or isinstance(value, bool) or _is_number(value) or _is_text(value)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and abs(value) <= MAX_COUNTER


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT_CHARACTERS and value.isprintable()


def _are_counts(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_CAUSES
        and all(_is_text(name) and _is_number(count) for name, count in value.items())
    )
