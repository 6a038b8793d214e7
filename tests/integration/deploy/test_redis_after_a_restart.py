"""A Redis that lets nobody in without a password comes back with all that was written to it."""

from pathlib import Path

import pytest
import redis

from common.keys import Keys
from deploy.redis_program import RedisProgram, bundled_program, find_program
from deploy.redis_server import PrivateRedis
from deploy.run_redis import PrivateRunRedis
from replay_server.connection import connect
from replay_server.registry import put_places, read_places
from tests.support.replay_rig import make_writer, write

pytestmark = pytest.mark.redis
KEYS = Keys("run")


def server(folder: Path, program: RedisProgram) -> PrivateRedis:
    folder.mkdir(exist_ok=True)
    made = PrivateRedis(
        program, folder=folder / "redis", log=folder / "redis.log", max_bytes=10**8, run="run"
    )
    made.start()
    return made


@pytest.mark.parametrize("program", [find_program(), bundled_program()], ids=["found", "bundled"])
def test_what_actors_and_launcher_wrote_in_transactions_is_there(
    tmp_path: Path, program: RedisProgram
) -> None:
    first = server(tmp_path, program)
    urls = PrivateRunRedis(first, run="run")
    launcher = connect(urls.url("launcher"), name="launcher")
    put_places(launcher, KEYS, {"actor-0": 0})
    writer = make_writer(urls.actor_url("actor-0"), KEYS, "actor-0", registered=False)
    write(writer, range(20))
    assert writer.flush(20)
    writer.close()
    launcher.close()
    first.stop()

    second = server(tmp_path, program)
    launcher = connect(PrivateRunRedis(second, run="run").url("launcher"), name="launcher")
    assert launcher.xlen(KEYS.meta("actor-0")) == launcher.xlen(KEYS.frames("actor-0")) == 20
    assert read_places(launcher, KEYS) == {"actor-0": 0}
    launcher.close()
    stranger = redis.Redis(port=second.port)
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with pytest.raises(redis.AuthenticationError):
        stranger.execute_command("AUTH", "default", "")
    stranger.close()
    second.stop()
