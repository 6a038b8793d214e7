"""An actor on a real Redis: what it drives is in the log, whole, and it does as the run says."""

import time

import numpy as np
import pytest
import redis

from common.config import ActorsConfig
from common.contract import make_contract
from common.errors import MachineError, MismatchError
from common.keys import Keys
from common.network import network_for
from common.weights import encode_weights
from replay_server.connection import call
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.rate_limiter import LimiterState, publish_limiter
from replay_server.weights_store import WeightsStore
from tests.support.actor_run import (
    actor_thread,
    config_of,
    contract_of,
    heart_of,
    logged,
    until,
)

pytestmark = pytest.mark.redis


def limiter(inserted: int, *, may_insert: bool) -> LimiterState:
    return LimiterState(inserted, 0, 32.0, may_sample=True, may_insert=may_insert)


@pytest.mark.parametrize("n_step", [1, 3])
def test_every_env_step_reaches_the_log_once(
    redis_url: str, connection: redis.Redis, keys: Keys, n_step: int
) -> None:
    config = config_of(n_step=n_step, length=70)
    contract = contract_of(config)
    with actor_thread(config, contract, url=redis_url, keys=keys) as actor:
        until(lambda: len(logged(connection, keys, contract)) > 10 or actor.done())
        Control(connection, keys).set("draining")
        until(actor.done)
    assert actor.error is None
    assert actor.report is not None
    assert actor.report.flushed
    segments = logged(connection, keys, contract)
    assert sum(segment.meta.transitions for segment in segments) == actor.report.env_steps
    assert [segment.meta.seq for segment in segments] == list(range(1, len(segments) + 1))
    assert {segment.meta.contract for segment in segments} == {contract.fingerprint}
    ends = [segment.meta.end for segment in segments if segment.meta.end is not None]
    assert len(ends) == actor.report.episodes
    assert {end.reason for end in ends[:-1]} <= {"finish", "time_limit"}
    assert {segment.meta.param_version for segment in segments} == {-1}
    assert {segment.meta.epsilon for segment in segments} == {1.0}
    # a cell's number is its feature, and the frame next to it shows the same cell
    one = segments[0]
    assert one.meta.features[0, 0] == 0.0
    np.testing.assert_array_equal(np.diff(one.meta.features[:, 0]), one.meta.rewards)


def test_an_actor_keeps_two_connections(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    """One for the log, one for all that it asks; ten thousand actors are twenty thousand of them."""
    config = config_of(length=10)
    with actor_thread(config, contract_of(config), url=redis_url, keys=keys, name="pc-two"):
        until(lambda: heart_of(connection, keys, "pc-two").get("env_steps", 0) > 20)
        names = [client["name"] for client in connection.client_list()]
    assert sorted(name for name in names if "pc-two" in name) == ["actor-pc-two", "pc-two"]


def test_new_weights_drive_from_the_next_episode_on(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    config = config_of(length=10)
    contract = contract_of(config)
    network = network_for(contract.spec, config)
    publish_limiter(connection, keys, limiter(500, may_insert=True))
    with actor_thread(config, contract, url=redis_url, keys=keys):
        until(lambda: heart_of(connection, keys).get("param_version") == -1)
        blob = encode_weights(network, param_version=1500, contract=contract.fingerprint)
        WeightsStore(connection, keys).publish(1500, blob)
        until(lambda: heart_of(connection, keys).get("param_version") == 1500)
        heart = heart_of(connection, keys)
        until(lambda: logged(connection, keys, contract)[-1].meta.param_version == 1500)
    # half of the decay is over at 500 of 1000 env steps: 1 + 0.5 * (0.01 - 1)
    assert heart["epsilon"] == pytest.approx(0.505)
    assert heart["staleness"] == 0
    versions = [segment.meta.param_version for segment in logged(connection, keys, contract)]
    assert versions == sorted(versions)
    assert set(versions) == {-1, 1500}
    by_episode: dict[int, set[int]] = {}
    for segment in logged(connection, keys, contract):
        by_episode.setdefault(segment.meta.episode, set()).add(segment.meta.param_version)
    assert all(len(found) == 1 for found in by_episode.values())


def test_an_episode_begins_with_the_weights_of_that_moment(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    """A simulated reset takes a millisecond, so the fetch must not be left behind."""
    base = config_of("slow", length=350)
    game = base.game.model_copy(update={"max_episode_steps": 10**6})
    config = base.model_copy(update={"game": game})
    contract = contract_of(config)
    store = WeightsStore(connection, keys)

    def publish(version: int) -> None:
        network = network_for(contract.spec, config)
        store.publish(
            version, encode_weights(network, param_version=version, contract=contract.fingerprint)
        )

    with actor_thread(config, contract, url=redis_url, keys=keys):
        until(lambda: heart_of(connection, keys).get("episode") == 0)
        publish(1)
        time.sleep(
            1.2
        )  # it is fetched within a second, as none was there before, and then no other
        publish(2)
        until(lambda: any(each.meta.episode == 1 for each in logged(connection, keys, contract)))
    versions = {
        segment.meta.episode: segment.meta.param_version
        for segment in logged(connection, keys, contract)
    }
    assert versions == {0: -1, 1: 2}


def test_weights_can_change_inside_an_episode(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    actors = ActorsConfig(wait_for_learner=False, heartbeat_s=0.1, refresh="steps", refresh_steps=5)
    # the time limit lies far beyond what is driven here, so that one episode spans it all
    base = config_of(length=10**6)
    game = base.game.model_copy(update={"max_episode_steps": 10**6})
    config = base.model_copy(update={"actors": actors, "game": game})
    contract = contract_of(config)
    with actor_thread(config, contract, url=redis_url, keys=keys):
        until(lambda: heart_of(connection, keys).get("param_version") == -1)
        blob = encode_weights(
            network_for(contract.spec, config), param_version=7, contract=contract.fingerprint
        )
        WeightsStore(connection, keys).publish(7, blob)
        until(lambda: heart_of(connection, keys).get("param_version") == 7)
    segments = logged(connection, keys, contract)
    assert {segment.meta.episode for segment in segments} == {0}
    assert {segment.meta.param_version for segment in segments} == {-1, 7}


def test_a_patient_actor_waits_for_the_learner_and_still_beats(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    config = config_of(wait=True)
    contract = contract_of(config)
    with actor_thread(config, contract, url=redis_url, keys=keys):
        until(lambda: heart_of(connection, keys).get("waiting") is True)
        assert heart_of(connection, keys)["env_steps"] == 0
        publish_limiter(connection, keys, limiter(0, may_insert=True))
        until(lambda: int(str(heart_of(connection, keys)["env_steps"])) > 20)
        publish_limiter(connection, keys, limiter(100, may_insert=False))
        until(lambda: heart_of(connection, keys).get("waiting") is True)
        before = heart_of(connection, keys)
        until(lambda: heart_of(connection, keys)["time"] != before["time"])
        assert heart_of(connection, keys)["env_steps"] == before["env_steps"]


def test_a_real_time_game_never_waits(redis_url: str, connection: redis.Redis, keys: Keys) -> None:
    config = config_of("real_time", wait=True)
    publish_limiter(connection, keys, limiter(100, may_insert=False))
    with actor_thread(config, contract_of(config), url=redis_url, keys=keys):
        until(lambda: int(str(heart_of(connection, keys).get("env_steps", 0))) > 20)
        assert heart_of(connection, keys)["waiting"] is False


def test_a_fault_of_the_game_truncates_the_episode(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    config = config_of(length=200, fault_at=4)
    contract = contract_of(config)
    with actor_thread(config, contract, url=redis_url, keys=keys):
        until(lambda: len(logged(connection, keys, contract)) > 0)
        until(lambda: int(str(heart_of(connection, keys).get("faults", 0))) > 0)
    first = logged(connection, keys, contract)[0].meta
    assert (first.steps, first.truncated, first.terminated) == (3, True, False)
    assert first.end is not None
    assert first.end.reason == "fault:ConnectionResetError"


def test_a_game_that_always_fails_ends_the_actor(
    redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.game_link._LONGEST_PAUSE_S", 0.01)
    config = config_of(fault_at=1)
    with actor_thread(config, contract_of(config), url=redis_url, keys=keys) as actor:
        until(actor.done)
    assert isinstance(actor.error, MachineError)
    assert "failed 8 times" in actor.error.what


@pytest.mark.parametrize("fault_at", [None, 1])
def test_who_ends_in_order_says_so_in_a_last_heartbeat(
    redis_url: str,
    connection: redis.Redis,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    fault_at: int | None,
) -> None:
    monkeypatch.setattr("actors.game_link._LONGEST_PAUSE_S", 0.3)
    config = config_of() if fault_at is None else config_of(fault_at=fault_at)
    with actor_thread(config, contract_of(config), url=redis_url, keys=keys) as actor:
        until(lambda: heart_of(connection, keys).get("leaving") is False)
        if fault_at is not None:
            until(actor.done)
    assert heart_of(connection, keys)["leaving"] is (fault_at is None)


def test_another_contract_is_refused_with_what_differs(redis_url: str, keys: Keys) -> None:
    config = config_of()
    other = config.model_copy(
        update={"game": config.game.model_copy(update={"track": "elsewhere"})}
    )
    theirs = make_contract(other, contract_of(config).spec)
    with actor_thread(config, theirs, url=redis_url, keys=keys) as actor:
        until(actor.done)
    assert isinstance(actor.error, MismatchError)
    assert "elsewhere" in str(actor.error)


def test_a_newer_process_of_the_same_name_takes_over(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    config = config_of("real_time")
    contract = contract_of(config)
    with actor_thread(config, contract, url=redis_url, keys=keys) as older:
        until(lambda: len(logged(connection, keys, contract)) > 0)
        with actor_thread(config, contract, url=redis_url, keys=keys) as newer:
            until(older.done)
            assert isinstance(older.error, MismatchError)
            assert not newer.done()


def test_the_heartbeat_tells_what_people_ask(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    config = config_of(length=5)
    with actor_thread(config, contract_of(config), url=redis_url, keys=keys):
        until(lambda: heart_of(connection, keys).get("last_finish_ms") is not None)
        until(lambda: float(str(heart_of(connection, keys)["fps"])) > 0)
        heart = heart_of(connection, keys)
    assert heart["role"] == "actor"
    assert len(bytes(heart["frame"])) == 64 * 64  # type: ignore[call-overload]
    assert heart["dropped_transitions"] == 0
    assert {"actor", "host", "pid", "seq", "epoch", "late_steps", "spooled_segments"} <= set(heart)


def test_a_heartbeat_that_fails_ends_the_actor_with_its_error(
    redis_url: str, connection: redis.Redis, keys: Keys
) -> None:
    call(connection, "ACL", "SETUSER", "heartless", "on", ">pw", "~*", "&*", "+@all", "-set")
    config = config_of(length=10)
    url = redis_url.replace("redis://", "redis://heartless:pw@")
    contract = contract_of(config)
    put_contract(connection, keys, contract)
    with actor_thread(config, contract, url=url, keys=keys) as actor:
        until(actor.done)
    assert isinstance(actor.error, MismatchError)
