"""What the log's two rules are for: without either, the books no longer agree.

A rule that could be left out unnoticed would be tested by nothing. Each fault is met once with the
writer's own connection and once with one that breaks a rule.
"""

from collections.abc import Callable, Iterator
from time import sleep

import pytest
import redis

from common.keys import Keys
from replay_server import log_writer
from replay_server.log_link import LogLink
from replay_server.log_writer import LogWriter
from tests.support.broken_links import StarLink, TrustingLink
from tests.support.ledger import audit
from tests.support.redis_server import RedisServer
from tests.support.replay_rig import make_writer, write

pytestmark = [pytest.mark.redis, pytest.mark.chaos]
KEYS = Keys("ablation")
Writer = Callable[[type[LogLink]], LogWriter]


@pytest.fixture
def make(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Makes the writer whose connection is of a class."""
    made: list[LogWriter] = []

    def making(link: type[LogLink]) -> LogWriter:
        monkeypatch.setattr(TrustingLink, "confirmed", (0, 0))
        monkeypatch.setattr(StarLink, "confirmed", (0, 0))
        monkeypatch.setattr(log_writer, "LogLink", link)
        made.append(make_writer(server.url, KEYS))
        return made[-1]

    yield making
    for writer in made:
        writer.close(timeout_s=0.1)


@pytest.mark.parametrize(("link", "loses"), [(LogLink, False), (TrustingLink, True)])
def test_without_resending_a_power_cut_loses_segments(
    server: RedisServer, client: redis.Redis, make: Writer, link: type[LogLink], *, loses: bool
) -> None:
    writer = make(link)
    write(writer, range(60))
    assert writer.flush(10)
    server.kill()
    server.cut_append_only_tail(30_000)
    server.start()
    write(writer, range(60, 70))
    assert writer.flush(20)
    books = audit(client, KEYS, {"a1": 70})
    assert bool(books.lost) == loses
    assert books.doubled == []
    assert writer.counters().acked_transitions == 70 * 20, "it believes that all is well"


@pytest.mark.parametrize(("link", "doubles"), [(LogLink, False), (StarLink, True)])
def test_without_explicit_ids_an_unanswered_append_is_stored_twice(
    server: RedisServer, client: redis.Redis, make: Writer, link: type[LogLink], *, doubles: bool
) -> None:
    writer = make(link)
    write(writer, range(10))
    assert writer.flush(10)
    server.pause()
    write(writer, range(10, 20))
    # Longer than the socket's patience: the answer comes when nobody listens any more.
    sleep(3.0)
    server.resume()
    assert writer.flush(20)
    books = audit(client, KEYS, {"a1": 20})
    assert books.lost == []
    assert bool(books.doubled) == doubles
    assert all(tag >= 10 for _, tag in books.doubled)
