"""The learner's side of a bench: follows the log into a frame store, samples now and then, publishes weights."""

import logging
import time
from multiprocessing.connection import Connection

import torch

from common.contract import Contract
from common.keys import Keys
from common.network import network_for
from common.weights import encode_weights
from deploy.command_logging import log_to_stderr
from deploy.fleet_bench.bench_contract import RUN
from learner.frame_store import FrameStore
from learner.ingest import IndexFollower, LogFeed
from learner.sampler import Sampler, Window
from replay_server.client import ReplayClient
from replay_server.connection import connect
from replay_server.contract_store import get_contract
from replay_server.weights_store import WeightsStore

_WAIT_S = 0.05
_SAMPLE_EVERY_S = 0.1
_WEIGHTS_EVERY_S = 1.0


def ingest_log(url: str, orders: Connection) -> None:
    """Ingests until the other end of the pipe closes; answers each message with the ids that it holds.

    Args:
        url: Redis as the learner.
        orders: any message is answered with [low, high).
    """
    with log_to_stderr(logging.ERROR):
        _ingest(url, orders)


def _ingest(url: str, orders: Connection) -> None:
    torch.set_num_threads(1)
    connection = connect(url, name="learner")
    keys = Keys(RUN)
    contract = get_contract(connection, keys)
    assert contract is not None, "the bench publishes the contract first"
    config = contract.config
    store = FrameStore(
        contract.spec,
        capacity=config.replay.capacity,
        n_step=config.learner.n_step,
        discount=config.learner.discount,
        batch_size=config.learner.batch_size,
        device=torch.device("cpu"),
    )
    client = ReplayClient(connect(url, name="learner-sampler"), keys)
    sampler = Sampler(client, config)
    feed = LogFeed(
        IndexFollower(url, keys, contract.spec, after=None), store, sampler, counted=None
    )
    publisher = _Publisher(contract, WeightsStore(connection, keys))
    feed.start()
    sample_due_s = 0.0
    try:
        while True:
            feed.ingest(wait_s=_WAIT_S)
            publisher.publish_when_due()
            if time.monotonic() >= sample_due_s:
                sample_due_s = time.monotonic() + _SAMPLE_EVERY_S
                _sample(sampler, store)
            if orders.poll():
                orders.recv()
                orders.send((store.low, store.high))
    except EOFError:
        feed.close()
        client.close()


def _sample(sampler: Sampler, store: FrameStore) -> None:
    """Takes a batch, as a learner does far more often; the watermark that lets the log be trimmed goes along."""
    window = Window(low=store.low, high=store.high, needed_from=store.read_from, learner_steps=0)
    batch = sampler.take(window)
    if batch is not None:
        sampler.finish(batch.ids, batch.weights)


class _Publisher:
    """Publishes weights of the usual size again and again, each time as a new version."""

    def __init__(self, contract: Contract, store: WeightsStore) -> None:
        self._contract = contract
        self._store = store
        self._network = network_for(contract.spec, contract.config)
        self._version = 0
        self._due_s = 0.0

    def publish_when_due(self) -> None:
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + _WEIGHTS_EVERY_S
        self._version += 1
        blob = encode_weights(
            self._network, param_version=self._version, contract=self._contract.fingerprint
        )
        self._store.publish(self._version, blob)
