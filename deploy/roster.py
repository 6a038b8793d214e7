"""Who drives in a run: the actors that Ray started, and the places of all that live."""

import re
import threading
from collections.abc import Collection

RAY_ACTOR = re.compile(r"actor-\d+")
"""Names that the launcher gives; no token may bear one."""
_NUMBER = re.compile(r"(\d+)")


class Roster:
    """The actors that Ray drives, added and taken off by whoever starts them; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def add(self, *names: str) -> None:
        """Counts actors in from now on, before they have written anything."""
        with self._lock:
            self._names.update(names)

    def discard(self, name: str) -> None:
        """Counts an actor no longer; what it wrote stays."""
        with self._lock:
            self._names.discard(name)

    @property
    def names(self) -> frozenset[str]:
        """The actors that Ray drives now."""
        with self._lock:
            return frozenset(self._names)


def places_of(names: Collection[str]) -> dict[str, int]:
    """Returns the place of each actor from 0: the launcher's own first, numbers in their order."""
    ordered = sorted(set(names), key=lambda name: (not RAY_ACTOR.fullmatch(name), _natural(name)))
    return {name: index for index, name in enumerate(ordered)}


def _natural(name: str) -> list[tuple[int, str]]:
    """Returns a key that sorts a-2 before a-10."""
    return [
        (int(part), "") if part.isdecimal() else (0, part) for part in _NUMBER.split(name) if part
    ]
