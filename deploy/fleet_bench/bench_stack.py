"""The processes of a bench: Redis, replay service, ingest and generators, each apart from the others."""

import multiprocessing
import secrets
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from common.errors import MachineError
from common.keys import Keys
from deploy.fleet_bench.bench_contract import CAPACITY, RUN, STEPS, bench_contract
from deploy.fleet_bench.ingest_process import ingest_log
from deploy.fleet_bench.load_generator import Grow, Tell, Told, generate
from deploy.fleet_bench.service_process import serve_replay
from deploy.redis_program import find_program
from deploy.redis_server import PrivateRedis
from deploy.run_redis import PrivateRunRedis
from replay_server.access import actor_rules, actor_user, digest
from replay_server.connection import connect
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.registry import put_places, register
from replay_server.users import put_user

MAX_REDIS_BYTES = 8_000_000_000
ACTORS_PER_GENERATOR = 300
_ANSWER_S = 120.0
_STOP_S = 15.0


class BenchStack:
    """Everything that a fleet needs but games and a GPU, while its block runs.

    Args:
        folder: holds Redis's files; the caller removes it.
        generators: processes that the actors are spread over.
        segment_s: seconds between two segments of one actor.
    """

    def __init__(self, folder: Path, *, generators: int, segment_s: float) -> None:
        self._folder = folder
        self._segment_s = segment_s
        self._context = multiprocessing.get_context("spawn")
        self._redis = PrivateRedis(
            find_program(),
            folder=folder / "redis",
            log=folder / "redis.log",
            max_bytes=MAX_REDIS_BYTES,
            run=RUN,
        )
        self._members = PrivateRunRedis(self._redis, run=RUN)
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._generators = generators
        self._actors: list[str] = []
        self.keys = Keys(RUN)

    def __enter__(self) -> Self:
        """Starts Redis, the service, the ingest and the generators."""
        self._redis.start()
        self.connection = connect(self._members.url("launcher"), name="bench")
        put_contract(self.connection, self.keys, bench_contract())
        Control(self.connection, self.keys).set("running")
        self._service = self._start(serve_replay, self._members.url("replay"))
        self._ingest_orders, ends = self._context.Pipe()
        self._ingest = self._start(ingest_log, self._members.url("learner"), ends)
        for number in range(self._generators):
            orders, ends = self._context.Pipe()
            fill = CAPACITY // STEPS + 1 if number == 0 else 0
            reader = self._members.url("reader")
            self._start(generate, reader, self._segment_s, fill, number, ends)
            self._pipes.append(orders)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends all processes; Redis last."""
        for pipe in (*self._pipes, self._ingest_orders):
            pipe.close()
        Control(self.connection, self.keys).set("stopped")
        for process in self._processes:
            process.join(_STOP_S)
            if process.is_alive():
                process.kill()
                process.join()
        self.connection.close()
        self._redis.stop()

    @property
    def url(self) -> str:
        """Redis as one who looks on."""
        return self._members.url("reader")

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what is measured, by name."""
        assert self._redis.pid is not None
        assert self._service.pid is not None
        assert self._ingest.pid is not None
        return {
            "redis": self._redis.pid,
            "service": self._service.pid,
            "ingest": self._ingest.pid,
        }

    def grow(self, count: int) -> None:
        """Adds actors, each with a user of its own on Redis, until there are so many."""
        names = [f"actor-{index}" for index in range(len(self._actors), count)]
        self._actors += names
        register(self.connection, self.keys, names)
        put_places(
            self.connection, self.keys, {name: index for index, name in enumerate(self._actors)}
        )
        password = secrets.token_hex(32)
        shares: list[dict[str, str]] = [{} for _ in self._pipes]
        for index, name in enumerate(names):
            user, rules = actor_user(name), actor_rules(name, self.keys)
            put_user(self.connection, user, rules=rules, password_digest=digest(password))
            shares[index % len(shares)][name] = self._redis.address(user, password)
        for pipe, urls in zip(self._pipes, shares, strict=True):
            pipe.send(Grow(urls))
        for pipe in self._pipes:
            self._answer(pipe)

    def told(self, *, append: bool = True) -> list[Told]:
        """Returns what the generators did since they were asked last.

        Args:
            append: whether their actors go on appending.
        """
        for pipe in self._pipes:
            pipe.send(Tell(append=append))
        answers: list[Told] = [self._answer(pipe) for pipe in self._pipes]
        return answers

    def ingested(self) -> int:
        """Returns the id after the newest transition in the frame store."""
        self._ingest_orders.send(None)
        high: int = self._answer(self._ingest_orders)[1]
        return high

    def _start(
        self, target: Callable[..., None], *arguments: object
    ) -> multiprocessing.process.BaseProcess:
        process = self._context.Process(target=target, args=arguments, daemon=True)
        process.start()
        self._processes.append(process)
        return process

    def _answer(self, pipe: Connection) -> Any:  # noqa: ANN401 - each order has its own answer
        deadline = time.monotonic() + _ANSWER_S
        while not pipe.poll(0.5):
            dead = [process.name for process in self._processes if not process.is_alive()]
            if dead or time.monotonic() > deadline:
                raise MachineError(
                    "A process of the bench gave no answer.",
                    f"it ended, or the machine is far too slow ({', '.join(dead) or 'all alive'})",
                    "fewer actors: apexmania replay bench --actors 100",
                )
        return pipe.recv()
