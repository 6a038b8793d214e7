"""Joining by one line: what a machine contributes, what it survives, and how it ends."""

import json
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.keys import Keys
from common.machine_home import machine_home
from deploy.invitations import invite
from deploy.join_string import Invitation, encode_invitation
from deploy.tokens import revoke_token
from replay_server.connection import call
from replay_server.registry import read_places, registered
from tests.support.actor_run import until
from tests.support.join_rig import Head, JoinedProcess, of_other_code

pytestmark = [pytest.mark.redis, pytest.mark.slow]
PATIENCE_S = 90.0
Join = Callable[..., JoinedProcess]
OTHER_AUTHORITY = "another head's certificate"


@pytest.fixture
def heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Head]]:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "head-home"))
    made: list[Head] = []

    def make(*, mutual_tls: bool = False) -> Head:
        made.append(Head(tmp_path / "runs", mutual_tls=mutual_tls))
        return made[-1]

    yield make
    for head in made:
        head.stop()


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Join]:
    made: list[JoinedProcess] = []

    def start(word: str, machine: str = "pc", *options: str) -> JoinedProcess:
        folder = tmp_path / machine
        folder.mkdir(exist_ok=True)
        made.append(JoinedProcess(folder, word, *options))
        return made[-1]

    yield start
    for process in made:
        process.close()


def drives(head: Head, name: str = "pc", *, beyond: int = 300) -> Callable[[], bool]:
    return lambda: head.transitions(name) > beyond


def test_a_machine_joins_and_loses_nothing_while_the_head_reboots(
    heads: Callable[..., Head], join: Join
) -> None:
    head = heads()
    head.start("first")
    invitation, line = invite("pc")
    pc = join(line)
    until(drives(head), PATIENCE_S)
    assert invitation.password not in pc.command_lines()
    assert line not in pc.command_lines()
    credentials = pc.home / "joined" / "pc" / "credentials.json"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert head.heart("pc")["role"] == "actor"
    until(lambda: read_places(head.connection, head.keys) == {"pc": 0})
    assert registered(head.connection, head.keys) == {"pc"}

    head.crash()
    before = time.monotonic()
    until(lambda: "the head is away" in pc.said(), PATIENCE_S)
    head.start("first")
    known = head.transitions("pc")
    until(drives(head, beyond=known + 600), PATIENCE_S)
    assert time.monotonic() - before > 1.0
    assert pc.stop() == 0, pc.said()
    assert "all of it reached the head" in pc.said()
    metas = head.metas("pc")
    assert {meta.epoch for meta in metas} == {metas[0].epoch}, "it never started anew"
    assert [meta.seq for meta in metas] == list(range(1, len(metas) + 1))
    driven = int(pc.said().split("leaves run first after ")[1].split(" env")[0].replace(",", ""))
    assert head.transitions("pc") == driven
    until(lambda: head.replay.stats()["next_id"] == driven)


def test_it_goes_on_with_the_next_run_and_keeps_what_waits_for_the_last(
    heads: Callable[..., Head], join: Join
) -> None:
    head = heads()
    head.start("first")
    pc = join(invite("pc")[1])
    until(drives(head), PATIENCE_S)
    head.end()
    until(lambda: "serves no run" in pc.said(), PATIENCE_S)
    head.crash()
    head.start("second")
    until(drives(head), PATIENCE_S)

    head.crash()  # and comes back with a third run, while segments of the second wait
    until(lambda: "the head is away" in pc.said(), PATIENCE_S)
    head.start("third", slow_s=10.0)
    until(drives(head), PATIENCE_S)
    assert not head.connection.exists(Keys("second").meta("pc")), "in a Redis that has not that run"
    assert "of run second kept on disk" in pc.said()
    waiting = json.loads(pc.listed())[0]["waiting_segments"]
    assert waiting["second"] > 0

    head.crash()
    head.start("second")
    known = head.transitions("pc")
    until(drives(head, beyond=known + 100), PATIENCE_S)
    assert pc.stop() == 0, pc.said()
    assert "second" not in json.loads(pc.listed())[0]["waiting_segments"]
    by_epoch: dict[int, list[int]] = {}
    for meta in head.metas("pc"):
        by_epoch.setdefault(meta.epoch, []).append(meta.seq)
    assert len(by_epoch) == 2
    for seqs in by_epoch.values():
        assert seqs == list(range(1, len(seqs) + 1)), "also what the crashed Redis had confirmed"


def test_a_machine_that_dies_while_the_head_is_away_brings_its_spool_along(
    heads: Callable[..., Head], join: Join
) -> None:
    head = heads()
    head.start("first")
    pc = join(invite("pc")[1])
    until(drives(head), PATIENCE_S)
    head.stop()
    until(lambda: bool(json.loads(pc.listed())[0]["waiting_segments"]), PATIENCE_S)
    pc.kill()
    waited = json.loads(pc.listed())[0]["waiting_segments"]["first"]
    assert waited > 0
    again = join("pc")
    head.start("first")
    held = len(head.metas("pc"))
    until(lambda: len({meta.epoch for meta in head.metas("pc")}) == 2, PATIENCE_S)
    assert again.stop() == 0, again.said()
    first = min(meta.epoch for meta in head.metas("pc"))
    seqs = [meta.seq for meta in head.metas("pc") if meta.epoch == first]
    assert seqs == list(range(1, held + waited + 1))
    assert json.loads(again.listed())[0]["waiting_segments"] == {}


def test_a_machine_waits_for_a_head_that_knows_its_users_late(
    heads: Callable[..., Head], join: Join, tmp_path: Path
) -> None:
    head = heads()
    head.start("first")
    token = machine_home() / "head" / "tokens" / "pc.json"
    elsewhere = tmp_path / "elsewhere.json"
    pc = join(invite("pc")[1])
    until(drives(head), PATIENCE_S)
    token.rename(elsewhere)
    until(lambda: "waiting: the head does not let this actor in" in pc.said(), PATIENCE_S)
    time.sleep(15.0)  # as long as a slow head starts, and longer than a drive waits
    known = head.transitions("pc")
    assert not pc.ended(), pc.said()
    elsewhere.rename(token)
    until(drives(head, beyond=known + 300), PATIENCE_S)
    assert pc.stop() == 0, pc.said()
    assert "all of it reached the head" in pc.said()


def test_whoever_may_not_join_is_told_why(heads: Callable[..., Head], join: Join) -> None:
    head = heads(mutual_tls=True)
    head.start("first")
    good, line = invite("good")
    soon = ("--patience-s", "5")
    revoked = join(invite("revoked")[1], "a", *soon)
    taken_over = join(line, "b")
    until(drives(head, "revoked", beyond=50), PATIENCE_S)
    until(drives(head, "good", beyond=50), PATIENCE_S)
    assert good.identity is not None
    strangers = {
        "no-identity": (replace(good, identity=None), "do not fit"),
        "wrong-password": (replace(good, password="0" * 64), "does not let this actor in"),
        "wrong-authority": (replace(good, authority=_another_authority(good)), "do not fit"),
    }
    refused = {
        name: join(encode_invitation(invitation), name, *soon)
        for name, (invitation, _) in strangers.items()
    }
    newer = join(line, "c")
    revoke_token("revoked")
    for process, words in (
        (revoked, "does not let this actor in"),
        (taken_over, "Another process has taken over"),
        *((refused[name], words) for name, (_, words) in strangers.items()),
    ):
        until(process.ended, PATIENCE_S)
        assert process.process.returncode == 5, process.said()
        assert words in process.said()
    assert json.loads(revoked.listed())[0]["waiting_segments"]["first"] > 0
    known = head.transitions("good")
    until(drives(head, "good", beyond=known + 50), PATIENCE_S)
    assert newer.stop() == 0, newer.said()
    assert call(head.connection, "ACL", "GETUSER", "actor:revoked") is None


def test_a_head_that_comes_back_with_other_code_is_told_by_name(
    heads: Callable[..., Head], join: Join
) -> None:
    head = heads()
    head.start("first")
    pc = join(invite("pc")[1])
    until(drives(head, beyond=50), PATIENCE_S)
    head.stop()
    until(lambda: bool(json.loads(pc.listed())[0]["waiting_segments"]), PATIENCE_S)
    head.start("first", of_other_code(head.contract))
    known = len(head.metas("pc"))
    until(pc.ended, PATIENCE_S)
    assert pc.process.returncode == 5
    assert "differs from the one of run 'first'" in pc.said()
    assert "install the same version" in pc.said()
    assert len(head.metas("pc")) == known, "what waited belongs to the code before"
    assert json.loads(pc.listed())[0]["waiting_segments"]["first"] > 0


def _another_authority(invitation: Invitation) -> bytes:
    """Returns the certificate of a head with another key."""
    import os  # noqa: PLC0415 - the home of one call alone

    from deploy.certificates import authority_der  # noqa: PLC0415 - same

    before = os.environ["APEXMANIA_HOME"]
    os.environ["APEXMANIA_HOME"] = f"{before}-of-another"
    try:
        other = authority_der()
    finally:
        os.environ["APEXMANIA_HOME"] = before
    assert other != invitation.authority
    return other
