import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import ray
import redis

from common.errors import CorruptError, UnreachableError
from common.keys import Keys
from deploy.ray_cluster import private_ray
from replay_server.client import ReplayClient
from replay_server.contract_store import put_contract
from replay_server.control import Control
from replay_server.ray_actor import ReplayServiceActor
from tests.support.replay_rig import CONTRACT, WriteLog, request

pytestmark = [pytest.mark.redis, pytest.mark.ray, pytest.mark.filterwarnings("default")]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    with private_ray(num_cpus=1, run_folder=tmp_path, logs=tmp_path):
        yield


def ask(client: ReplayClient) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            client.send(request(high=400))
            status = client.receive(5).status
        except (UnreachableError, CorruptError) as error:
            status = str(error)
        if status == "ok":
            return status
        time.sleep(0.2)
    return status


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_ray_restarts_a_killed_service_and_samples_go_on(
    connection: redis.Redis, redis_url: str, write_log: WriteLog, keys: Keys
) -> None:
    put_contract(connection, keys, CONTRACT)
    Control(connection, keys).set("running")
    write_log(range(20))
    shell = ray.remote(ReplayServiceActor).options(
        max_concurrency=4, max_restarts=-1, max_task_retries=-1, num_cpus=0
    )
    actor = shell.remote(redis_url, keys.run)
    running = actor.run.remote()
    client = ReplayClient(connection, keys)
    assert ask(client) == "ok"
    assert ray.get(actor.stats.remote())["next_id"] == 400
    ray.kill(cast("ray.actor.ActorHandle[ReplayServiceActor]", actor), no_restart=False)
    time.sleep(0.5)
    assert ask(client) == "ok"
    client.close()
    Control(connection, keys).set("stopped")
    ray.get(running, timeout=30)
