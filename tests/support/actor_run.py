"""A run with an actor in a thread, and what the log holds of it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis
from redis.exceptions import NoPermissionError

from actors.drive import ActorPlace, DriveReport, run_actor
from actors.games import game_spec, make_game
from common.config import (
    ActorsConfig,
    Config,
    ExplorationConfig,
    GameConfig,
    LearnerConfig,
    NetworkConfig,
)
from common.contract import Contract, make_contract
from common.keys import Keys
from common.segment import Segment
from common.wire import decode_segment
from replay_server.connection import connect
from replay_server.contract_store import put_contract
from replay_server.hearts import read_all
from tests.support.replay_rig import register_actor

NETWORK = NetworkConfig(
    conv_channels=(4, 4), conv_strides=(2, 2), feature_hidden=8, hidden=8, cosine_dim=4
)


def config_of(
    factory: str = "corridor",
    *,
    n_step: int = 1,
    wait: bool = False,
    epsilon_decay_to: int = 1000,
    **options: int,
) -> Config:
    return Config(
        game=GameConfig(
            name=f"tests.support.tiny_games:{factory}", options=options, max_episode_steps=150
        ),
        network=NETWORK,
        learner=LearnerConfig(n_step=n_step),
        actors=ActorsConfig(wait_for_learner=wait, heartbeat_s=0.1),
        exploration=ExplorationConfig(epsilon_decay_to=epsilon_decay_to, epsilon_cutoff=10**9),
    )


def contract_of(config: Config) -> Contract:
    env = make_game(config.game, training=True, seed=0)
    try:
        return make_contract(config, game_spec(env, config.game))
    finally:
        env.close()


@dataclass
class ActorThread:
    """How an actor in a thread ended."""

    stop: threading.Event = field(default_factory=threading.Event)
    report: DriveReport | None = None
    error: Exception | None = None

    def done(self) -> bool:
        return self.report is not None or self.error is not None


@contextmanager
def actor_thread(
    config: Config, contract: Contract, *, url: str, keys: Keys, name: str = "pc-1"
) -> Iterator[ActorThread]:
    """Drives in a thread until the block ends."""
    outcome = ActorThread()

    def drive() -> None:
        try:
            outcome.report = run_actor(
                config,
                contract,
                redis_url=url,
                keys=keys,
                place=ActorPlace(name),
                spool_dir=None,
                stop=outcome.stop,
            )
        except Exception as error:  # noqa: BLE001 - looked at by the test
            outcome.error = error

    register_actor(url, keys, name)
    client = connect(url, name="launcher")
    with contextlib.suppress(NoPermissionError):
        put_contract(client, keys, contract, new_run=True)
    client.close()
    thread = threading.Thread(target=drive, daemon=True)
    thread.start()
    try:
        yield outcome
    finally:
        outcome.stop.set()
        thread.join(30)
        assert not thread.is_alive()


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Waits for a condition; fails where it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def logged(
    connection: redis.Redis, keys: Keys, contract: Contract, name: str = "pc-1"
) -> list[Segment]:
    """Returns the actor's segments in the log, decoded and checked."""
    metas = connection.xrange(keys.meta(name))
    frames = dict(connection.xrange(keys.frames(name)))
    return [
        decode_segment(fields[b"m"], frames[entry_id][b"f"], contract.spec)
        for entry_id, fields in metas
    ]


def heart_of(connection: redis.Redis, keys: Keys, name: str = "pc-1") -> dict[str, object]:
    return read_all(connection, keys).get(name, {})
