"""What a joined actor tells the person in front of it: a line now and then, and at once when something changes."""

import sys
import time
from typing import Any

from deploy.actor_text import actor_state, counted

_EVERY_S = 60.0
_FIRST_AFTER_S = 10.0


class JoinedStatus:
    """Prints lines on standard error, each with the time of day and the actor's name.

    Args:
        name: of the actor.
        head: address of the head, as it may be shown.
    """

    def __init__(self, name: str, head: str) -> None:
        self._name = name
        self._head = head
        self._last = ""
        self._due_s = time.monotonic() + _FIRST_AFTER_S
        self._link = (True, "")

    def say(self, text: str) -> None:
        """Prints a line, unless it is the one before."""
        if text != self._last:
            self._last = text
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {self._name} -> {self._head}: {text}\n")
            sys.stderr.flush()

    def show(self, run: str, heart: dict[str, Any], *, reachable: bool, refusal: str = "") -> None:
        """Prints the state of the drive when its time has come, or the head went, refused or came back.

        Args:
            run: name of the run.
            heart: what the actor's heartbeat says.
            reachable: whether the head answers.
            refusal: what the head said where it answers and refuses this actor.
        """
        now_s = time.monotonic()
        if (reachable, refusal) == self._link and now_s < self._due_s:
            return
        self._link, self._due_s = (reachable, refusal), now_s + _EVERY_S
        self.say(drive_line(run, heart, reachable=reachable, refusal=refusal))


def drive_line(run: str, heart: dict[str, Any], *, reachable: bool, refusal: str = "") -> str:
    """Returns the state of a drive as one line."""
    away = f"the head refuses this actor ({refusal})" if refusal else "the head is away"
    version = heart["param_version"]
    parts = (
        f"run {run}",
        f"{heart['fps']:,.0f} env steps/s",
        f"{heart['env_steps']:,} env steps",
        f"weights {version}" if version >= 0 else "no weights yet",
        f"spool {counted(heart['spooled_segments'], 'segment')} ({heart['spooled_bytes'] / 1e6:.1f} MB)"
        if heart["spooled_segments"]
        else "spool empty",
        f"{counted(heart['dropped_transitions'], 'transition')} dropped"
        if heart["dropped_transitions"]
        else "",
        actor_state(heart) if reachable else f"{away}, driving goes on into the spool",
    )
    return " | ".join(part for part in parts if part)
