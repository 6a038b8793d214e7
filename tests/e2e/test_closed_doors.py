"""What a run shows of itself to the network and to other people on its machine."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.head_secrets import actor_password
from deploy.redis_listen import free_port
from deploy.run_record import RunRecord
from deploy.run_redis import reader_url
from replay_server.connection import connect
from tests.support.open_ports import addresses_outside
from tests.support.training_run import SMALL, Run

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.ray, pytest.mark.timeout(600)]
KEY_HEADER = 64
"""Characters with which every private key of this kind begins."""


def processes(run: Run) -> Iterator[psutil.Process]:
    root = psutil.Process(run.process.pid)
    yield from (root, *root.children(recursive=True))


def secrets_of(home: Path, run: str) -> list[str]:
    """A piece of every password, token and private key of this machine, as it would look anywhere."""
    pieces = [actor_password(run, "actor-0")]
    for file in home.rglob("*"):
        if not file.is_file() or file.suffix == ".json" or file.name == "ca.pem":
            continue
        text = file.read_text()
        key = re.search(r"PRIVATE KEY-----\n(.*?)-----END", text, re.DOTALL)
        if key is None and "CERTIFICATE" in text:
            continue
        body = text if key is None else key[1].replace("\n", "")[KEY_HEADER:]
        pieces.append(max(re.findall(r"[A-Za-z0-9]+", body), key=len))
    assert all(len(piece) >= 10 for piece in pieces)
    return pieces


def shown(folder: Path, secrets: list[str]) -> list[str]:
    """Files of a folder that hold a secret."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    wanted = [secret.encode() for secret in secrets]
    return [str(file) for file in files if any(word in file.read_bytes() for word in wanted)]


def told(run: Run, secrets: list[str]) -> list[str]:
    """Processes whose command line or environment holds a secret."""
    found = []
    for process in processes(run):
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(secret in word for secret in secrets for word in words):
            found.append(process.name())
    return found


def test_a_run_is_reached_by_nobody_and_shows_no_secret(tmp_path: Path, machine_home: Path) -> None:
    with Run(tmp_path, "run", *SMALL, "--run-dir", "run") as run:
        run.until(lambda: run.learner_steps() > 30)
        secrets = secrets_of(machine_home, "run")
        assert len(secrets) >= 7
        assert addresses_outside(psutil.Process(run.process.pid)) == {}
        assert told(run, secrets) == []
        temporary = (run.folder.logs / "ray-live").readlink().parents[1]
        assert shown(temporary, secrets) == []
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.end()[0] == 130, run.errors()
    assert shown(tmp_path, secrets) == []
    planted = run.folder.logs / "planted.log"
    planted.write_text(f"connected to redis://learner:{secrets[-1]}@127.0.0.1")
    assert shown(tmp_path, secrets) == [str(planted)]
    planted.unlink()

    address = f"127.0.0.2:{free_port()}"
    words = ("--resume", "run", "--listen", address, "--mutual-tls")
    with Run(tmp_path, "run", *words) as run:
        before = run.learner_steps()
        run.until(lambda: run.learner_steps() > before)
        secrets = secrets_of(machine_home, "run")
        assert len(secrets) >= 10, "the keys of the certificates too"
        outside = addresses_outside(psutil.Process(run.process.pid))
        assert [sorted(addresses) for addresses in outside.values()] == [[address]]
        assert told(run, secrets) == []
        url = reader_url(run.folder)
        assert url is not None
        assert connect(url, name="test").ping()
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.end()[0] == 130, run.errors()
        assert f"Redis will listen on {address} (TLS, client certificates demanded)" in run.errors()
    assert shown(tmp_path, secrets) == []
    listen = RunRecord.open(run.folder).listen
    assert listen is not None
    assert (listen.shown, listen.mutual_tls) == (address, True)
