"""The learner in a run: outages, restarts, the run's switch, what it publishes."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from common.config import Config
from common.errors import MismatchError
from common.keys import Keys
from common.weights import decode_weights
from learner.checkpoint import load_checkpoint
from replay_server.control import Control
from replay_server.hearts import read_all
from replay_server.rows import read_rows
from replay_server.weights_store import WeightsStore
from tests.support.learner_inputs import small_config
from tests.support.learner_rig import LearnerRun, make_run
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis

FAST = {"metrics_period_learner_steps": 10, "weights_period_learner_steps": 10}


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def steps_of(connection: redis.Redis, keys: Keys) -> int:
    return int(str(read_all(connection, keys).get("learner", {}).get("learner_steps", -1)))


def doing_of(connection: redis.Redis, keys: Keys) -> str:
    return str(read_all(connection, keys).get("learner", {}).get("doing"))


@contextmanager
def learning(run: LearnerRun) -> Iterator[threading.Thread]:
    """Learns on a thread until the body is over, then drains."""
    failures: list[BaseException] = []

    def learn() -> None:
        try:
            run.learn(None)
        except BaseException as failure:
            failures.append(failure)
            raise

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        yield thread
    finally:
        client = redis.Redis.from_url(run.url)
        Control(client, run.keys).set("draining")
        thread.join(30)
        client.close()
    assert not failures
    assert not thread.is_alive()


def test_what_a_run_publishes(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    run = make_run(redis_url, keys, tmp_path, small_config(**FAST))
    run.drive(episodes=6)
    with run.serving(expected_ids=420):
        progress = run.learn(45)
    assert (progress.learner_steps, progress.env_steps, progress.episodes) == (45, 420, 6)
    rows = [row for _, row in read_rows(connection, keys.metrics, None, 100)]
    assert [row["learner_steps"] for row in rows] == [10, 20, 30, 40]
    last = rows[-1]
    assert last["env_steps"] == 420
    assert last["episodes"] == 6
    assert last["learner_incarnation"] == 1
    assert last["replay_size"] == 420
    assert last["beta"] == pytest.approx(0.44)
    assert 0 < float(str(last["samples_per_insert"])) < 2
    assert last["staleness_max"] == 39
    assert float(str(last["loss"])) > 0
    blob = WeightsStore(connection, keys).fetch()
    assert blob is not None
    assert decode_weights(blob, contract=run.contract.fingerprint).param_version == 40
    heart = read_all(connection, keys)["learner"]
    assert (heart["doing"], heart["learner_steps"], heart["checkpoint_step"]) == ("stopped", 45, 45)


def test_weights_are_out_before_the_first_transition(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    run = make_run(redis_url, keys, tmp_path)
    store = WeightsStore(connection, keys)
    with learning(run):
        wait_until(lambda: store.version() == 0)
    assert load_checkpoint(tmp_path / "checkpoints" / "latest").progress.learner_steps == 0


def test_draining_writes_a_last_checkpoint_and_stopping_does_not(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    run = make_run(redis_url, keys, tmp_path)
    run.drive(episodes=6)
    with run.serving(), learning(run):
        wait_until(lambda: steps_of(connection, keys) > 20)
    assert load_checkpoint(tmp_path / "checkpoints" / "latest").progress.learner_steps > 20
    Control(connection, keys).set("stopped")
    before = list((tmp_path / "checkpoints").iterdir())
    run.learn(None)
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {p.name for p in before}


def test_checkpoints_follow_the_fleets_episodes(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    config = small_config()
    config = Config.model_validate(
        {**config.model_dump(), "checkpoint": {"every_episodes": 3, "min_period_s": 0.0}}
    )
    run = make_run(redis_url, keys, tmp_path, config)
    run.drive(episodes=3)
    with run.serving(), learning(run):
        latest = tmp_path / "checkpoints" / "latest"
        wait_until(latest.exists)
        first = latest.resolve()
        run.drive(episodes=2, actor="a2")
        time.sleep(0.5)
        assert latest.resolve() == first
        run.drive(episodes=1, actor="a3")
        wait_until(lambda: latest.resolve() != first)


def test_the_limiter_holds_the_learner_to_its_ratio(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    config = Config.model_validate(
        {**small_config(**FAST).model_dump(), "replay": {"samples_per_insert": 8.0}}
    )
    run = make_run(redis_url, keys, tmp_path, config)
    run.drive(episodes=2)
    with run.serving(), learning(run):
        wait_until(lambda: doing_of(connection, keys) == "throttled")
        held_at = steps_of(connection, keys)
        # One learner step for each env step beyond the first batch, and the band's width.
        assert 130 <= held_at <= 140 + 2 * 63
        run.drive(episodes=2, actor="a2")
        wait_until(lambda: steps_of(connection, keys) >= held_at + 130)


def test_a_restart_of_the_replay_service_is_survived(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    run = make_run(redis_url, keys, tmp_path, small_config(**FAST))
    run.drive(episodes=20)
    with learning(run):
        with run.serving():
            wait_until(lambda: steps_of(connection, keys) > 20)
        wait_until(lambda: doing_of(connection, keys) == "unreachable")
        before = steps_of(connection, keys)
        with run.serving():
            wait_until(lambda: steps_of(connection, keys) > before + 50)


def test_an_outage_of_redis_is_survived(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    server.start()
    try:
        run = make_run(server.url, Keys("outage"), tmp_path / "run", small_config(**FAST))
        run.drive(episodes=20)
        client = redis.Redis.from_url(server.url, retry_on_timeout=True)
        with run.serving(), learning(run):
            wait_until(lambda: steps_of(client, run.keys) > 20)
            time.sleep(1.2)  # the append-only file reaches the disk once a second
            server.kill()
            time.sleep(1.0)
            server.start()
            wait_until(lambda: steps_of(client, run.keys) > 100)
            run.drive(episodes=2, actor="a2")
            heart = lambda: read_all(client, run.keys)["learner"]  # noqa: E731
            wait_until(lambda: heart()["env_steps"] == 22 * 70)
        client.close()
    finally:
        server.stop()


def test_a_killed_learner_goes_on_from_its_checkpoint(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    config = Config.model_validate(
        {
            **small_config(**FAST).model_dump(),
            "checkpoint": {"every_episodes": 1, "min_period_s": 0.0},
        }
    )
    run = make_run(redis_url, keys, tmp_path, config)
    latest = tmp_path / "checkpoints" / "latest"
    with run.serving():
        process = multiprocessing.get_context("spawn").Process(target=run.learn, args=(None,))
        process.start()
        run.drive(episodes=4)
        wait_until(lambda: latest.exists() and steps_of(connection, keys) > 40)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kept = load_checkpoint(latest).progress
        progress = run.learn(kept.learner_steps + 10)
    assert kept.learner_steps > 0
    assert progress.learner_steps == kept.learner_steps + 10
    assert progress.episodes >= kept.episodes
    rows = [row for _, row in read_rows(connection, keys.metrics, None, 10_000)]
    assert {row["learner_incarnation"] for row in rows} == {1, 2}


def test_a_damaged_newest_checkpoint_is_passed_over(
    redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    run = make_run(redis_url, keys, tmp_path)
    run.drive(episodes=4)
    with run.serving(expected_ids=280):
        run.learn(10)
        run.learn(20)
        newest = (tmp_path / "checkpoints" / "latest").resolve()
        (newest / "optimizer.safetensors").write_bytes(b"cut")
        progress = run.learn(15)
    assert progress.learner_steps == 15
    assert (tmp_path / "checkpoints" / "damaged-1-step-000000020").is_dir()


def test_another_network_is_refused(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    run = make_run(redis_url, keys, tmp_path)
    run.drive(episodes=2)
    with run.serving(expected_ids=140):
        run.learn(5)
        wider = run.config.network.model_copy(update={"hidden": 16})
        other = make_run(
            redis_url, keys, tmp_path, run.config.model_copy(update={"network": wider})
        )
        with pytest.raises(MismatchError, match="another network"):
            other.learn(10)


def test_a_learner_that_cannot_report_ends_with_the_reason(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    run = make_run(redis_url, keys, tmp_path, small_config(**FAST))
    run.drive(episodes=6)
    connection.set(keys.metrics, "no stream")
    before = threading.active_count()
    with run.serving(expected_ids=420), pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        run.learn(10_000)
    assert threading.active_count() == before


def alter_frames(connection: redis.Redis, stream: str, *, segment: int) -> None:
    """Flips one bit of one segment's pixels; a stream takes it only when it is written anew."""
    entries = connection.xrange(stream)
    entry_id, fields = entries[segment]
    pixels = bytearray(fields[b"f"])
    pixels[100] ^= 1
    entries[segment] = (entry_id, {b"f": bytes(pixels)})
    connection.delete(stream)
    for entry_id, fields in entries:
        connection.xadd(stream, fields, id=entry_id)


def test_a_segment_that_is_damaged_is_never_sampled(
    connection: redis.Redis, redis_url: str, keys: Keys, tmp_path: Path
) -> None:
    """The service reads metadata only; the learner finds the broken frames and tells it."""
    run = make_run(redis_url, keys, tmp_path)
    run.drive(episodes=6)
    alter_frames(connection, keys.frames("a1"), segment=2)
    with run.serving(expected_ids=420) as service:
        with capture_logs() as logs:
            progress = run.learn(60)
        assert service.stats()["invalid_transitions"] == 59
    assert progress.learner_steps == 60
    (skipped,) = (entry for entry in logs if entry["event"] == "segment_skipped")
    assert "crc32" in skipped["problem"]
