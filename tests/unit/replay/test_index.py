import numpy as np
import pytest

from replay_server.index import LogIndex, format_entry_id, parse_entry_id
from replay_server.retention import trim_floor


def filled(*counts: int) -> LogIndex:
    index = LogIndex()
    for seq, count in enumerate(counts, start=1):
        index.append(actor="a1", entry_id=(5, seq), count=count, priorities=None)
    return index


def test_ids_follow_from_the_order_alone() -> None:
    index = filled(3, 5, 1)
    assert [entry.index_id for entry in index.since(0)] == ["0-3", "3-5", "8-1"]
    assert index.next_id == 9
    assert index.positions == {"a1": (5, 3)}


@pytest.mark.parametrize(
    ("low", "expected"), [(0, 3), (2, 3), (3, 2), (7, 2), (8, 1), (9, 0), (50, 0)]
)
def test_since_returns_entries_that_reach_an_id(low: int, expected: int) -> None:
    assert len(filled(3, 5, 1).since(low)) == expected


def test_trimming_keeps_segments_whole() -> None:
    index = filled(3, 5, 1)
    assert [entry.first_id for entry in index.wholly_below(7)] == [0]
    index.drop_first(1)
    assert index.first_id == 3
    index.drop_first(2)
    assert index.first_id == index.next_id == 9
    assert len(index) == 0


def test_entry_ids_beyond_a_double_survive() -> None:
    entry_id = (2**64 - 1, 2**63 + 1)
    assert parse_entry_id(format_entry_id(entry_id).encode()) == entry_id


@pytest.mark.parametrize(
    ("low", "needed_from", "expected"),
    [
        (900, 900, 900),  # the capacity decides
        (500, 700, 500),  # the learner still holds them
        (700, 400, 400),  # a checkpoint still needs them
        (0, 0, 0),  # nobody asked yet
    ],
)
def test_the_log_is_trimmed_below_what_anyone_needs(
    low: int, needed_from: int, expected: int
) -> None:
    assert trim_floor(next_id=1900, capacity=1000, low=low, needed_from=needed_from) == expected


def test_a_learner_that_is_gone_cannot_fill_redis() -> None:
    assert trim_floor(next_id=10_000, capacity=1000, low=0, needed_from=0) == 8000


def test_priorities_stay_with_their_segment() -> None:
    index = LogIndex()
    values = np.ones(3, np.float32)
    entry = index.append(actor="a1", entry_id=(1, 1), count=3, priorities=values)
    assert entry.priorities is values
    assert entry.end_id == 3
