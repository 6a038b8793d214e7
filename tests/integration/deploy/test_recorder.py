import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.keys import Keys
from deploy.recorder import Recorder
from deploy.redis_program import find_program
from deploy.redis_server import PrivateRedis
from deploy.run_files import read_progress, read_rows
from deploy.run_folder import RunFolder
from deploy.run_progress import RunProgress
from replay_server.connection import connect
from replay_server.episodes import Episode
from replay_server.rows import append_row

pytestmark = pytest.mark.redis

KEYS = Keys("recorded")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    server = PrivateRedis(find_program(), folder=folder, log=folder / "log", max_bytes=10**8)
    server.start()
    yield server.url
    server.stop()


def _add_metrics(url: str, learner_steps: int, loss: float = 0.5) -> None:
    row = {"learner_steps": learner_steps, "env_steps": 2 * learner_steps, "loss": loss}
    append_row(connect(url, name="test"), KEYS.metrics, row, 1000)


def _add_episode(url: str, n: int, finish_ms: float | None) -> None:
    episode = Episode(
        n=n, actor="a", epoch=1, episode=n - 1, episode_return=float(n), steps=10, reason="finish",
        finish_ms=finish_ms, progress_m=3.0, param_version=7, epsilon=0.5, env_steps=10 * n,
        ended_at=1.0, action_counts=(5, 5),
    )  # fmt: skip
    connect(url, name="test").xadd(KEYS.episodes, episode.fields(), id=f"{n}-1")


def test_each_row_is_written_once_across_restarts_and_a_torn_line(url: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for steps in (100, 200, 300):
        _add_metrics(url, steps)
    _add_episode(url, 1, None)
    _add_episode(url, 2, 23_400.0)
    progress = RunProgress()
    first = Recorder(url, KEYS, folder, progress)
    assert (first.poll(), first.poll()) == (5, 0)
    assert (progress.episodes, progress.finishes, progress.best_lap_ms) == (2, 1, 23_400.0)

    with folder.metrics_file.open("a") as stream:
        stream.write('{"learner_steps": 400, "_i')
    _add_metrics(url, 400, loss=float("nan"))
    _add_episode(url, 3, 22_000.0)
    second = Recorder(url, KEYS, folder, read_progress(folder))
    assert (second.poll(), second.poll()) == (2, 0)

    steps = [row["learner_steps"] for row in read_rows(folder.metrics_file)]
    assert steps == [100, 200, 300, 400]
    assert [row["n"] for row in read_rows(folder.episodes_file)] == [1, 2, 3]
    whole = read_progress(folder)
    assert (whole.episodes, whole.finishes, whole.best_lap_ms) == (3, 2, 22_000.0)
    assert whole.best_lap_episode == 3


def test_numbers_that_json_lacks_become_null(url: str, tmp_path: Path) -> None:
    _add_metrics(url, 500, loss=float("inf"))
    folder = RunFolder(tmp_path)
    Recorder(url, KEYS, folder, RunProgress()).poll()
    for line in folder.metrics_file.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    assert list(read_rows(folder.metrics_file))[-1]["loss"] is None
