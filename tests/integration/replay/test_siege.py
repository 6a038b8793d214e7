"""Everything that a hostile actor may try, all of it at once, against a run that goes on."""

import contextlib
import time
from pathlib import Path

import pytest

from deploy.health import health_watch
from learner.ingest import IndexFollower
from replay_server.client import ReplayClient
from replay_server.connection import OUTAGES, connect
from replay_server.refusals import read_bans, read_refusals, total_by_kind
from tests.support.besieged_run import MAX_REDIS_BYTES, BesiegedRun, besieged_run
from tests.support.hostile_actor import ATTACKS, siege
from tests.support.replay_rig import make_writer, write
from tests.support.run_screen import RunScreen
from tests.support.segments import SMALL, tag_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.redis, pytest.mark.slow]
SIEGE_S = 5.0
LOOK_S = 0.5
"""Between two looks at the fleet's health."""
LONGEST_SIEGE_S = 40.0
HONEST = "a1"
SERVICE_BYTES = 700_000_000
"""Most memory for the service: its own 150 MB, and a few of the largest entries that Redis takes."""
BANNED = {"huge-metadata", "huge-frames", "hidden-twin", "orphans"}
"""Who is waited for: they are shut out after a few looks of the service, however little a slow machine lets
them send. Each of the others is shut out in a test of its own."""


class Learner:
    """Reads the log as the learner does, and keeps which of the honest actor's segments came."""

    def __init__(self, run: BesiegedRun) -> None:
        self._follower = IndexFollower(run.redis.url("learner"), run.keys, SMALL, after=None)
        self._follower.start()
        self.tags: list[int] = []

    def follow(self) -> None:
        for indexed in self._follower.take():
            if indexed.actor == HONEST:
                assert indexed.segment is not None, indexed.problem
                self.tags.append(tag_of(indexed.segment))

    def has(self, count: int) -> bool:
        self.follow()
        return len(self.tags) >= count

    def close(self) -> None:
        self._follower.close()


def test_a_run_goes_on_under_siege(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_watch, "PERIOD_S", LOOK_S)
    with besieged_run(tmp_path) as run:
        urls = run.admit(HONEST, *ATTACKS)
        writer = make_writer(
            urls.pop(HONEST), run.keys, HONEST, spool=tmp_path / "spool", registered=False
        )
        learner = Learner(run)
        written = 0
        with siege(urls, run.keys), RunScreen(run.launcher, run.keys, tmp_path) as screen:
            began = time.monotonic()
            while time.monotonic() < began + SIEGE_S or not all_shut_out(run):
                assert time.monotonic() < began + LONGEST_SIEGE_S
                write(writer, range(written, written + 5))
                written += 5
                learner.follow()
                run.note_memory()
                with contextlib.suppress(*OUTAGES):
                    screen.show()
                time.sleep(0.1)
        assert writer.flush(10)
        wait_until(lambda: learner.has(written), timeout_s=10)
        assert learner.tags == list(range(written)), "each once, in order"
        assert writer.counters().dropped_transitions == 0
        learner.close()
        writer.close()
        check_books(run)
        assert run.peak_bytes["redis"] < 2 * MAX_REDIS_BYTES
        assert run.peak_bytes["service"] < SERVICE_BYTES


def all_shut_out(run: BesiegedRun) -> bool:
    with contextlib.suppress(*OUTAGES):
        return read_bans(run.launcher, run.keys).keys() >= BANNED
    return False


def check_books(run: BesiegedRun) -> None:
    """Asserts that the service lives, and that all is counted and who did it is shut out."""
    assert run.service.is_running()
    bans, books = read_bans(run.launcher, run.keys), read_refusals(run.launcher, run.keys)
    assert bans.keys() >= BANNED
    assert HONEST not in bans
    assert HONEST not in books
    kinds = {"damaged", "fields", "identity", "contract", "orphans"}
    assert total_by_kind(books).keys() >= kinds
    client = ReplayClient(connect(run.redis.url("launcher"), name="test"), run.keys)
    assert client.stats()["banned"] == len(bans)
    client.close()
