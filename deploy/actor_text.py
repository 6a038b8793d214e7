"""What an actor does, and how its game fares, in words: for the live table and for ``status``."""

from collections.abc import Iterator
from typing import Any

from actors.trackmania.game_trouble import TROUBLES

Heart = dict[str, Any]

DRIVING, WAITING, LEFT = "drives", "waiting for the learner", "left"
_GAME_DRIVES = "driving"


def actor_state(heart: Heart) -> str:
    """Returns what an actor does, in a few words; where its game does not drive, the cause.

    A simulated game waits a moment between most steps, since the learner sets its pace; only one that
    made no step at all since the last heartbeat is called waiting.
    """
    if heart.get("leaving") is True:
        return LEFT
    if _troubled(heart):
        return str(heart["game_state"])
    return WAITING if heart.get("waiting") and not heart.get("fps") else DRIVING


def game_counts(heart: Heart) -> str:
    """Returns how often the game failed and was late, in a few words; empty where it never was."""
    counts = ((heart.get("faults"), "fault"), (heart.get("env_restarts"), "env restart"),
              (heart.get("late_steps"), "late step"))  # fmt: skip
    return ", ".join(counted(count, name) for count, name in counts if count)


def game_lines(heart: Heart) -> Iterator[str]:
    """Yields what there is to say of a game in real time: its counts, and what to do about trouble."""
    causes = ", ".join(
        f"{cause} {count}" for cause, count in sorted(heart.get("fault_causes", {}).items())
    )
    faults = counted(heart.get("faults", 0), "fault") + (f" ({causes})" if causes else "")
    restarts = counted(heart.get("env_restarts", 0), "env restart")
    yield f"{faults}, {restarts}, {counted(heart.get('late_steps', 0), 'late step')}"
    trouble = TROUBLES.get(str(heart.get("game_state"))) if _troubled(heart) else None
    if trouble is not None:
        yield trouble.meaning
        yield f"fix: {trouble.fix}"
        yield f"see: {trouble.anchor}"


def counted(count: int, name: str) -> str:
    """Returns a count with what is counted, in the singular where it is one."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _troubled(heart: Heart) -> bool:
    return str(heart.get("game_state", _GAME_DRIVES)) != _GAME_DRIVES
