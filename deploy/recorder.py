"""Follows the run's streams into its JSONL files, each row exactly once."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from common.keys import Keys
from deploy.health.health_watch import HealthWatch
from deploy.jsonl_file import Entries, JsonlFile
from deploy.run_folder import RunFolder
from deploy.run_progress import Row, RunProgress
from replay_server.connection import connect
from replay_server.episodes import Episode, read_episodes
from replay_server.rows import read_rows

_BATCH = 500
Reader = Callable[[bytes | None, int], Entries]
Listener = Callable[[Row], None]


class Recorder:
    """Copies metrics, episodes and evaluations from Redis to the run folder and to the progress."""

    def __init__(
        self,
        url: str,
        keys: Keys,
        folder: RunFolder,
        progress: RunProgress,
        *,
        health: HealthWatch | None = None,
    ) -> None:
        """Opens the files and a connection of its own.

        Args:
            url: Redis.
            keys: the run's keys.
            folder: takes the files.
            progress: takes the rows.
            health: judges the rows.
        """
        to_metrics: tuple[Listener, ...] = (progress.add_metrics,)
        to_episodes: tuple[Listener, ...] = (progress.add_episode,)
        if health is not None:
            to_metrics += (health.add_metrics,)
            to_episodes += (health.add_episode,)
        connection = connect(url, name="recorder")
        self._followed: tuple[tuple[JsonlFile, Reader, tuple[Listener, ...]], ...] = (
            (
                JsonlFile(folder.metrics_file),
                partial(read_rows, connection, keys.metrics),
                to_metrics,
            ),
            (
                JsonlFile(folder.episodes_file),
                partial(_read_episodes, connection, keys),
                to_episodes,
            ),
            (
                JsonlFile(folder.evaluations_file),
                partial(read_rows, connection, keys.evaluations),
                (progress.add_evaluation,),
            ),
        )

    def poll(self) -> int:
        """Copies what is new and returns the number of rows."""
        total = 0
        for file, read, listeners in self._followed:
            while True:
                new = file.append(read(file.last_id, _BATCH))
                for row in new:
                    for listen in listeners:
                        listen(row)
                total += len(new)
                if len(new) < _BATCH:
                    break
        return total


def _read_episodes(connection: Any, keys: Keys, after: bytes | None, count: int) -> Entries:  # noqa: ANN401 - redis belongs to replay_server
    newest = 0 if after is None else int(after.partition(b"-")[0])
    episodes = read_episodes(connection, keys, after=newest, count=count)
    return [(f"{episode.n}-1".encode(), _episode_row(episode)) for episode in episodes]


def _episode_row(episode: Episode) -> Row:
    row = asdict(episode)
    row["return"] = row.pop("episode_return")
    return row
