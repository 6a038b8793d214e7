"""The sampler and the real replay service: repeatable batches, refusals, restarts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import redis

from common.errors import ApexManiaError, CorruptError
from common.keys import Keys
from learner.sampler import SampledBatch, Sampler, Window, request_seed
from replay_server.client import ReplayClient
from tests.support.learner_inputs import small_config
from tests.support.learner_rig import LearnerRun, make_run

pytestmark = pytest.mark.redis

IDS = 420


@contextmanager
def sampler_of(run: LearnerRun, connection: redis.Redis) -> Iterator[Sampler]:
    client = ReplayClient(connection, run.keys)
    try:
        yield Sampler(client, run.config)
    finally:
        client.close()


def window(learner_steps: int = 0, **changes: int) -> Window:
    fields = {"low": 0, "high": IDS, "needed_from": 0, **changes}
    return Window(**fields, learner_steps=learner_steps)


def take(sampler: Sampler, view: Window | None = None) -> SampledBatch:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        batch = sampler.take(view or window())
        if batch is not None:
            return batch
        time.sleep(0.005)
    raise AssertionError(sampler.status)


def play(sampler: Sampler, count: int) -> list[SampledBatch]:
    """Takes batches and answers each with priorities that depend on its ids."""
    batches = []
    for steps in range(count):
        batch = take(sampler, window(steps))
        sampler.finish(batch.ids, (1.0 + batch.ids % 7).astype(np.float32))
        batches.append(batch)
    return batches


def same(a: list[SampledBatch], b: list[SampledBatch]) -> bool:
    return all(
        x.number == y.number
        and np.array_equal(x.ids, y.ids)
        and np.array_equal(x.weights, y.weights)
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture
def run(redis_url: str, keys: Keys, tmp_path: Path) -> LearnerRun:
    made = make_run(redis_url, keys, tmp_path)
    made.drive(episodes=6)
    return made


def test_one_log_and_one_seed_give_the_same_batches(
    run: LearnerRun, connection: redis.Redis
) -> None:
    played = []
    for _ in range(2):
        connection.delete(run.keys.priorities)
        with run.serving(expected_ids=IDS), sampler_of(run, connection) as sampler:
            played.append(play(sampler, 20))
    assert same(*played)
    assert [batch.number for batch in played[0]] == list(range(20))


def test_a_restored_sampler_and_service_go_on_with_the_same_batches(
    run: LearnerRun, connection: redis.Redis
) -> None:
    with run.serving(expected_ids=IDS) as service, sampler_of(run, connection) as sampler:
        play(sampler, 7)
        sampler.drain()
        kept, kept_service = sampler.state(), service.state()
        expected = play(sampler, 10)
        sampler.drain()
        with sampler_of(run, connection) as other:
            service.restore(kept_service)
            other.restore(kept)
            assert other.state() == kept
            assert same(play(other, 10), expected)


def test_requests_lost_with_the_service_are_sent_again(
    run: LearnerRun, connection: redis.Redis
) -> None:
    with sampler_of(run, connection) as sampler:
        with run.serving(expected_ids=IDS):
            first = play(sampler, 5)
        while sampler.status != "unreachable":
            sampler.take(window(5))
        with run.serving(expected_ids=IDS):
            second = play(sampler, 5)
    numbers = [batch.number for batch in first + second]
    assert sorted(set(numbers)) == sorted(numbers)
    assert max(numbers) <= 11


def test_a_batch_that_left_the_window_is_dropped(run: LearnerRun, connection: redis.Redis) -> None:
    with run.serving(expected_ids=IDS), sampler_of(run, connection) as sampler:
        play(sampler, 3)
        late = window(3, low=IDS - 10, needed_from=0)
        batch = take(sampler, late)
        assert batch.ids.min() >= IDS - 10
        assert sampler.dropped_batches >= 1


def test_a_restored_batch_whose_segment_was_lost_since_is_dropped(
    run: LearnerRun, connection: redis.Redis
) -> None:
    with run.serving(expected_ids=IDS), sampler_of(run, connection) as sampler:
        play(sampler, 3)
        sampler.drain()
        lost = int(sampler._ready[0].ids[0])
        with sampler_of(run, connection) as other:
            other.restore(sampler.state())
            other.mark_invalid([lost])
            batches = [take(other, window(3)) for _ in range(20)]
            assert other.dropped_batches >= 1
    assert all(lost not in batch.ids for batch in batches)
    assert len({batch.number for batch in batches}) == 20


def test_the_service_never_samples_beyond_the_watermark(
    run: LearnerRun, connection: redis.Redis
) -> None:
    with run.serving(expected_ids=IDS), sampler_of(run, connection) as sampler:
        batches = [take(sampler, window(high=100)) for _ in range(30)]
    assert max(batch.ids.max() for batch in batches) == 99


def test_a_diverged_learner_is_stopped(run: LearnerRun, connection: redis.Redis) -> None:
    with sampler_of(run, connection) as sampler, pytest.raises(ApexManiaError, match="diverged"):
        sampler.finish(np.arange(2), np.array([1.0, np.nan], np.float32))


def test_a_damaged_state_is_refused(run: LearnerRun, connection: redis.Redis) -> None:
    with sampler_of(run, connection) as sampler:
        for state in (b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03"):
            with pytest.raises(CorruptError, match="sampler"):
                sampler.restore(state)


def test_seeds_differ_and_never_change() -> None:
    config = small_config()
    seeds = [request_seed(config.seed, number) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert request_seed(0, 0) == 7896617691693857887
