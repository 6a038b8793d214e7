"""The order of all segments, and the absolute ids that follow from it."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

EntryId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One segment in the order of the log.

    Attributes:
        first_id: id of its first transition.
        count: transitions in it.
        actor: whose stream holds it.
        entry_id: epoch and seq, its id in that stream.
        priorities: what the actor computed, if it did.
    """

    first_id: int
    count: int
    actor: str
    entry_id: EntryId
    priorities: npt.NDArray[np.float32] | None

    @property
    def end_id(self) -> int:
        """First id after the segment."""
        return self.first_id + self.count

    @property
    def index_id(self) -> str:
        """Its id in the index stream."""
        return f"{self.first_id}-{self.count}"


class LogIndex:
    """Retained segments in order, oldest first.

    Attributes:
        next_id: id of the next transition that enters the log.
        positions: the newest entry seen of each actor, refused ones included.
    """

    def __init__(self) -> None:
        self.next_id = 0
        self.positions: dict[str, EntryId] = {}
        self._entries: deque[IndexEntry] = deque()

    @property
    def first_id(self) -> int:
        """Oldest retained id, or the next one where nothing is retained."""
        return self._entries[0].first_id if self._entries else self.next_id

    def __len__(self) -> int:
        """Returns the number of retained segments."""
        return len(self._entries)

    def append(
        self,
        *,
        actor: str,
        entry_id: EntryId,
        count: int,
        priorities: npt.NDArray[np.float32] | None,
    ) -> IndexEntry:
        """Gives the next ids to a segment and returns its entry."""
        entry = IndexEntry(self.next_id, count, actor, entry_id, priorities)
        self.load(entry)
        return entry

    def load(self, entry: IndexEntry) -> None:
        """Takes an entry that has its ids already, newer than all others."""
        assert entry.first_id >= self.next_id, "ids only grow"
        self._entries.append(entry)
        self.next_id = entry.end_id
        self.positions[entry.actor] = entry.entry_id

    def since(self, low: int) -> list[IndexEntry]:
        """Returns the entries with any id at or above ``low``, oldest first."""
        newest = []
        for entry in reversed(self._entries):
            if entry.end_id <= low:
                break
            newest.append(entry)
        newest.reverse()
        return newest

    def wholly_below(self, high: int) -> Iterator[IndexEntry]:
        """Yields the entries whose every id is below ``high``, oldest first."""
        for entry in self._entries:
            if entry.end_id > high:
                return
            yield entry

    def retained_by_actor(self) -> Counter[str]:
        """Returns how many retained entries each actor has; any thread may ask."""
        return Counter(entry.actor for entry in self._entries.copy())

    def drop_first(self, count: int) -> None:
        """Forgets the oldest entries."""
        for _ in range(count):
            self._entries.popleft()


def parse_entry_id(text: bytes) -> EntryId:
    """Returns the two numbers of a stream id."""
    left, _, right = text.partition(b"-")
    return int(left), int(right)


def format_entry_id(entry_id: EntryId) -> str:
    """Returns the stream id of two numbers."""
    return f"{entry_id[0]}-{entry_id[1]}"
