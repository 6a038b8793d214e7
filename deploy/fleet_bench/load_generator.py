"""A process that is many actors at once: each does each of its errands on time, or as soon as it can."""

import heapq
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

from common.contract import Contract
from common.keys import Keys
from deploy.command_logging import log_to_stderr
from deploy.fleet_bench.bench_contract import EPISODE_SEGMENTS, RUN, STEPS
from deploy.fleet_bench.synthetic_actor import Appended, SyntheticActor, model_segments
from replay_server.connection import connect
from replay_server.contract_store import get_contract

HEART_S = 2.0
FLEET_S = 1.0
WEIGHTS_S = 1.0
THREADS = 8
_UNDER_WAY = 2 * THREADS


@dataclass(frozen=True, slots=True)
class Grow:
    """Asks a generator for more actors.

    Attributes:
        urls: address of each new actor's user by the actor's name.
    """

    urls: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tell:
    """Asks a generator what it did since the last time.

    Attributes:
        append: whether its actors go on appending; the rest they do in any case.
    """

    append: bool


@dataclass(slots=True)
class Told:
    """What a generator did since it was asked last.

    Attributes:
        appended: segments that reached the log.
        late_s: how late the latest errand began, seconds.
        fetched_weights: weights fetched.
    """

    appended: list[Appended] = field(default_factory=list)
    late_s: float = 0.0
    fetched_weights: int = 0


def generate(url: str, segment_s: float, fill: int, seed: int, orders: Connection) -> None:
    """Runs a generator until the other end of its pipe closes.

    Args:
        url: Redis as a user that may read the contract.
        segment_s: seconds between two segments of one actor.
        fill: segments that the first actor appends at once, so that the log is full from the start.
        seed: of the pictures and of who begins when.
        orders: brings ``Grow`` and ``Tell``; each is answered.
    """
    keys = Keys(RUN)
    connection = connect(url, name="generator")
    contract = get_contract(connection, keys)
    connection.close()
    assert contract is not None, "the bench publishes the contract first"
    generator = _Generator(contract, keys, segment_s=segment_s, seed=seed)
    with log_to_stderr(logging.ERROR):
        generator.run(orders, fill=fill)


class _Generator:
    """The actors of one process, and a queue of what is due."""

    def __init__(self, contract: Contract, keys: Keys, *, segment_s: float, seed: int) -> None:
        self._keys = keys
        self._segment_s = segment_s
        self._rng = np.random.default_rng(seed)
        self._models = model_segments(contract, self._rng)
        self._actors: list[SyntheticActor] = []
        self._due: list[tuple[float, int, float, Callable[[], None]]] = []
        self._pool = ThreadPoolExecutor(THREADS)
        self._room = threading.BoundedSemaphore(_UNDER_WAY)
        self._books = threading.Lock()
        self._failure: Exception | None = None
        self._appends = True
        self._told = Told()

    def run(self, orders: Connection, *, fill: int) -> None:
        """Does what is due and what it is asked, until nobody asks any more."""
        try:
            while True:
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if orders.poll(None if wait_s is None else max(0.0, wait_s)):
                    orders.send(self._obey(orders.recv(), fill=fill))
                else:
                    self._next_errand()
        except EOFError:
            self._pool.shutdown()
            for actor in self._actors:
                actor.close()

    def _obey(self, order: Grow | Tell, *, fill: int) -> Told:
        match order:
            case Grow(urls):
                first = not self._actors
                for name, url in urls.items():
                    begun = int(self._rng.integers(EPISODE_SEGMENTS))
                    self._add(SyntheticActor(url, self._keys, name, self._models, begun=begun))
                for _ in range(fill if first else 0):
                    self._append(self._actors[0])
                return Told()
            case Tell(append):
                self._appends = append
                if not append:
                    self._wait_for_threads()
                with self._books:
                    told, self._told = self._told, Told()
                told.fetched_weights = sum(actor.fetched_weights for actor in self._actors)
                return told

    def _append(self, actor: SyntheticActor) -> None:
        if self._appends:
            appended = actor.append()
            with self._books:
                self._told.appended.append(appended)

    def _wait_for_threads(self) -> None:
        for _ in range(_UNDER_WAY):
            self._room.acquire()
        self._room.release(_UNDER_WAY)

    def _add(self, actor: SyntheticActor) -> None:
        self._actors.append(actor)

        errands = (
            (self._segment_s, partial(self._append, actor)),
            (HEART_S, actor.beat),
            (FLEET_S, actor.follow_fleet),
            (WEIGHTS_S, actor.follow_weights),
        )
        turn = threading.Lock()  # an actor does one thing at a time, as its one connection makes it
        now_s = time.monotonic()
        for period_s, errand in errands:
            due_s = now_s + self._rng.uniform(0.0, period_s)
            in_turn: Callable[[], None] = partial(self._do, errand, turn)
            heapq.heappush(self._due, (due_s, len(self._due), period_s, in_turn))

    def _next_errand(self) -> None:
        """Hands the next errand to a thread: many wait for Redis at once, as many actors do.

        What is late is not made up for, as no actor polls twice for a poll that it missed; a segment that
        is not sent for it shows in the share that was on time.
        """
        if self._failure is not None:
            raise self._failure
        due_s, order, period_s, errand = heapq.heappop(self._due)
        self._room.acquire()
        now_s = time.monotonic()
        self._told.late_s = max(self._told.late_s, now_s - due_s)
        self._pool.submit(errand)
        heapq.heappush(self._due, (max(due_s + period_s, now_s), order, period_s, errand))

    def _do(self, errand: Callable[[], None], turn: threading.Lock) -> None:
        try:
            with turn:
                errand()
        except Exception as error:  # noqa: BLE001 - the top of a thread; the generator raises it
            self._failure = error
        finally:
            self._room.release()


def segment_period_s(frames_per_second: float) -> float:
    """Returns the seconds that one actor needs for a segment."""
    return STEPS / frames_per_second
