"""Where Redis listens: what is asked for, refused and remembered."""

import socket
from pathlib import Path

import pytest

from common.config import Config
from common.errors import ConfigError, CorruptError, MachineError
from deploy.redis_listen import (
    Listen,
    free_port,
    keep_listen,
    last_listen,
    parse_listen,
    require_free,
)
from deploy.run_folder import RunFolder
from deploy.run_record import RunRecord
from deploy.train_plan import TrainRequest, make_plan


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.168.1.5", "192.168.1.5", 6390),
        ("192.168.1.5:7000", "192.168.1.5", 7000),
        ("fd00::5", "fd00::5", 6390),
        ("[fd00::5]:7000", "fd00::5", 7000),
        ("[fd00::5]", "fd00::5", 6390),
    ],
)
def test_an_address_with_and_without_a_port(text: str, host: str, port: int) -> None:
    listen = parse_listen(text)
    assert (listen.host, listen.port, listen.tls, listen.mutual_tls) == (host, port, True, False)
    assert parse_listen(listen.shown) == listen
    assert Listen.from_dict(listen.to_dict()) == listen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lan",
        "0.0.0.0",
        "::",
        "1.2.3",
        "1.2.3.4:x",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "[::1",
        "[::1]7",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)is no address.*--listen 192\.168\.1\.5:6390"):
        parse_listen(text)


def test_how_it_listens_is_said() -> None:
    assert "(TLS)" in parse_listen("192.168.1.5").notice
    assert "client certificates" in parse_listen("192.168.1.5", mutual_tls=True).notice
    assert "WITHOUT encryption" in parse_listen("192.168.1.5", insecure=True).notice
    with pytest.raises(ConfigError, match="--insecure-lan does not go with --mutual-tls"):
        parse_listen("192.168.1.5", insecure=True, mutual_tls=True)


def test_the_last_address_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))
    assert last_listen() is None
    keep_listen(parse_listen("192.168.1.5:7000"))
    assert last_listen() == Listen("192.168.1.5", 7000)
    file = tmp_path / "home" / "head" / "listen.json"
    assert file.stat().st_mode & 0o077 == 0
    for damaged in ("{", "[]", '{"host": "x", "port": 1, "tls": true, "mutual_tls": false}'):
        file.write_text(damaged)
        with pytest.raises(CorruptError):
            last_listen()


def test_an_address_of_another_machine_and_a_port_in_use_are_told_apart() -> None:
    with pytest.raises(ConfigError, match=r"203\.0\.113\.7 is not one of this machine's"):
        require_free(Listen("203.0.113.7", free_port()))
    port = free_port()
    require_free(Listen("127.0.0.2", port))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(MachineError, match=f"Port {port} on 127.0.0.1 is taken"):
            require_free(Listen("127.0.0.2", port))


def test_a_resumed_run_listens_again_unless_told_otherwise(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.prepare(Config())
    record = RunRecord.open(folder)
    listen = Listen("192.168.1.5", 7000, mutual_tls=True)
    record.begin(
        config=folder.read_config(), preset="proven", redis="private", command=[], listen=listen
    )
    assert make_plan(TrainRequest(resume=folder.path)).listen == listen
    assert make_plan(TrainRequest(resume=folder.path, listen="none")).listen is None
    elsewhere = make_plan(TrainRequest(resume=folder.path, listen="10.0.0.1", insecure_lan=True))
    assert elsewhere.listen == Listen("10.0.0.1", 6390, tls=False)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="--listen does not go with --redis"):
        make_plan(TrainRequest(redis_url="redis://127.0.0.1/0", listen="127.0.0.1"))
    with pytest.raises(ConfigError, match="--mutual-tls needs --listen"):
        make_plan(TrainRequest(mutual_tls=True))
