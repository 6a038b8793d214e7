"""A run with its own Redis, users and replay service, of which somebody wants no good."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from common.keys import Keys
from deploy.redis_program import find_program
from deploy.redis_server import PrivateRedis
from deploy.roster import Roster
from deploy.run_redis import PrivateRunRedis
from deploy.tokens import create_token, read_tokens, revoke_token
from deploy.user_sync import UserSync
from replay_server.access import actor_user
from replay_server.connection import OUTAGES, call, connect
from replay_server.contract_store import put_contract
from replay_server.process import ReplayProcess
from replay_server.weights_store import WeightsStore
from tests.support.replay_rig import CONTRACT
from tests.support.waiting import wait_until

MAX_REDIS_BYTES = 600_000_000
WEIGHTS_BYTES = 5_000_000


@dataclass
class BesiegedRun:
    """The run as its launcher sees it.

    Attributes:
        keys: the run.
        private: the server.
        redis: addresses of its members.
        sync: lets in who has a token, and shuts out who is banned.
        launcher: connection of the administrator.
        service: process of the replay service.
        server: process of Redis.
    """

    keys: Keys
    private: PrivateRedis
    redis: PrivateRunRedis
    sync: UserSync
    launcher: redis.Redis
    service: psutil.Process
    server: psutil.Process
    peak_bytes: dict[str, int] = field(default_factory=dict)

    def admit(self, *names: str) -> dict[str, str]:
        """Lets actors in by a token, and returns the address of each."""
        urls = {}
        for name in names:
            _, password = create_token(name, address="here")
            urls[name] = self.private.address(actor_user(name), password)
        self.sync.sync()
        return urls

    def note_memory(self) -> None:
        """Keeps the most that Redis and the service ever took."""
        for name, process in (("redis", self.server), ("service", self.service)):
            taken = process.memory_info().rss
            self.peak_bytes[name] = max(taken, self.peak_bytes.get(name, 0))


@contextmanager
def besieged_run(folder: Path) -> Iterator[BesiegedRun]:
    """Starts all of it for the length of a block, just as a training configures it."""
    keys = Keys("besieged")
    server = PrivateRedis(
        find_program(),
        folder=folder / "redis",
        log=folder / "redis.log",
        max_bytes=MAX_REDIS_BYTES,
        run=keys.run,
    )
    server.start()
    members = PrivateRunRedis(server, run=keys.run)
    launcher = connect(members.url("launcher"), name="launcher")
    put_contract(launcher, keys, CONTRACT)
    learner = connect(members.url("learner"), name="learner")
    WeightsStore(learner, keys).publish(0, b"\0" * WEIGHTS_BYTES)
    learner.close()
    context = multiprocessing.get_context("spawn")
    service = context.Process(target=_serve, args=(members.url("replay"), keys), daemon=True)
    service.start()
    sync = UserSync(members.url("launcher"), keys, roster=Roster(), own_users=True)
    sync.start()
    try:
        wait_until(lambda: bool(launcher.exists(keys.service)), timeout_s=60)
        assert service.pid is not None
        assert server.pid is not None
        run = BesiegedRun(
            keys=keys,
            private=server,
            redis=members,
            sync=sync,
            launcher=launcher,
            service=psutil.Process(service.pid),
            server=psutil.Process(server.pid),
        )
        run.note_memory()
        yield run
        sync.raise_failure()
    finally:
        sync.close()
        for token in read_tokens():
            revoke_token(token.name)
        service.kill()
        service.join()
        launcher.close()
        server.stop()


def _serve(url: str, keys: Keys) -> None:
    ReplayProcess(url, keys).run()


def answers(connection: redis.Redis) -> float:
    """Returns how many seconds Redis takes for an answer; 2 where it takes longer."""
    began = time.monotonic()
    try:
        call(connection, "PING")
    except OUTAGES:
        return 2.0
    return time.monotonic() - began
