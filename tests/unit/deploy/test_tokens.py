"""Tokens on the head: who may have one, what is kept of it, and the address in its join string."""

import json
import stat
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.machine_home import machine_home
from deploy.commands.actor import local_settings
from deploy.invitations import invite, split
from deploy.join_string import decode_invitation
from deploy.redis_listen import Listen, keep_listen
from deploy.roster import Roster, places_of
from deploy.tokens import create_token, read_tokens, revoke_token, token_digests
from replay_server.access import digest


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))


def token_file(name: str) -> Path:
    return machine_home() / "head" / "tokens" / f"{name}.json"


def test_the_password_is_kept_nowhere() -> None:
    token, password = create_token("pc", address="h:1")
    kept = "".join(file.read_text() for file in machine_home().rglob("*") if file.is_file())
    assert password not in kept
    assert token.password_sha256 == digest(password)
    assert token_digests() == {"pc": digest(password)}
    assert stat.S_IMODE(token_file("pc").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name", ["", "../x", "a b", "a/b", "x" * 65, "actor-0", "actor-17", "learner", "replay"]
)
def test_a_name_that_cannot_be_or_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        create_token(name, address="h:1")
    assert read_tokens() == []


def test_a_token_is_made_once_and_revoked_once() -> None:
    create_token("pc", address="h:1")
    with pytest.raises(ConfigError, match="token revoke pc"):
        create_token("pc", address="h:1")
    revoke_token("pc")
    assert read_tokens() == []
    with pytest.raises(ConfigError, match="no token"):
        revoke_token("pc")
    with pytest.raises(ConfigError, match="no token"):
        revoke_token("../../head/listen")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"name": "other"}', "\0"])
def test_a_damaged_file_lets_nobody_in(text: str) -> None:
    create_token("pc", address="h:1")
    token_file("other").write_text(text)
    values = json.loads(token_file("pc").read_text())
    token_file("copied").write_text(json.dumps(values))
    assert [token.name for token in read_tokens()] == ["pc"]


@pytest.mark.parametrize(
    "digest_text", ["abc", "", 7, None, "z" * 64, "A" * 64, "a" * 63, "a" * 65]
)
def test_a_digest_that_redis_would_refuse_lets_nobody_in(digest_text: object) -> None:
    create_token("pc", address="h:1")
    values = json.loads(token_file("pc").read_text()) | {"password_sha256": digest_text}
    token_file("pc").write_text(json.dumps(values))
    assert read_tokens() == []


def test_there_is_no_token_where_its_certificates_could_not_be_made() -> None:
    keep_listen(Listen("192.168.1.5", 6390))
    (machine_home() / "head" / "tls").write_text("no folder")
    with pytest.raises(OSError, match="tls"):
        invite("pc")
    assert read_tokens() == []


def test_a_machine_that_never_listened_says_how() -> None:
    with pytest.raises(ConfigError, match="train --listen"):
        invite("pc")
    with pytest.raises(ConfigError, match="token create pc --address home:6390") as refused:
        invite("pc", address="home:6390")
    assert "has listened" in refused.value.what
    assert read_tokens() == []


def test_the_string_names_the_address_and_whom_to_trust() -> None:
    keep_listen(Listen("192.168.1.5", 6390))
    near = decode_invitation(invite("near")[1])
    assert (near.host, near.port, near.certified_host) == ("192.168.1.5", 6390, None)
    assert near.authority is not None
    assert near.identity is None
    far = decode_invitation(invite("far", address="home.example.org:7000")[1])
    assert (far.host, far.port) == ("home.example.org", 7000)
    assert far.certified_host == "192.168.1.5", "what the head's certificate names"


def test_without_tls_there_is_nothing_to_trust_and_with_both_sides_a_certificate() -> None:
    keep_listen(Listen("192.168.1.5", 6390, tls=False))
    plain = decode_invitation(invite("plain")[1])
    assert (plain.tls, plain.authority, plain.certified_host) == (False, None, None)
    keep_listen(Listen("192.168.1.5", 6390, mutual_tls=True))
    both = decode_invitation(invite("both")[1])
    assert both.identity is not None
    assert both.identity.startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", ("host", 6390)),
        ("host:7", ("host", 7)),
        ("10.0.0.1:7", ("10.0.0.1", 7)),
        ("fd00::1", ("fd00::1", 6390)),
        ("[fd00::1]:7", ("fd00::1", 7)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert split(text, port=6390) == expected


@pytest.mark.parametrize("text", ["", ":7", "host:0", "host:70000", "a@b", "http://x", "host:x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError):
        split(text, port=6390)


def test_the_launchers_own_actors_come_first_and_numbers_count() -> None:
    names = ["pc", "actor-10", "actor-2", "laptop", "pc-10", "pc-9"]
    assert list(places_of(names)) == ["actor-2", "actor-10", "laptop", "pc", "pc-9", "pc-10"]
    assert list(places_of(names).values()) == list(range(6))


def test_a_roster_counts_names_once() -> None:
    roster = Roster()
    roster.add("actor-0", "actor-1")
    roster.add("actor-1")
    roster.discard("actor-0")
    roster.discard("nobody")
    assert roster.names == {"actor-1"}


def test_a_machine_chooses_its_own_link_to_the_game_and_nothing_else() -> None:
    texts = ("game.trackmania.telemetry_port=9001", "game.trackmania.screen_x_offset=0")
    assert local_settings(texts) == {"telemetry_port": 9001, "screen_x_offset": 0}
    for text in ("game.name=standin", "learner.n_step=3", "game.trackmania.step_s=1"):
        with pytest.raises(ConfigError, match="not for one machine"):
            local_settings((text,))
    with pytest.raises(ConfigError, match="whole number"):
        local_settings(("game.trackmania.telemetry_port=x",))
