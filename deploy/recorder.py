"""Follows the run's streams into its JSONL files, each row exactly once."""

import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from common.keys import Keys
from deploy.run_files import read_rows as read_file
from deploy.run_folder import RunFolder
from deploy.run_progress import Row, RunProgress
from replay_server.connection import connect
from replay_server.episodes import Episode, read_episodes
from replay_server.rows import read_rows

_BATCH = 500
_ID = "_id"
Entries = Sequence[tuple[bytes, Row]]
Reader = Callable[[bytes | None, int], Entries]


class JsonlFile:
    """A file of rows that remembers in each line which entry of the stream it came from.

    The id travels in the line itself, so there is no second file that could disagree: what was
    written is known after any crash, and a torn last line is cut off and read again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _cut_torn_line(path)
        newest = deque(read_file(path), maxlen=1)
        self.last_id: bytes | None = str(newest[0][_ID]).encode() if newest else None

    def append(self, entries: Entries) -> list[Row]:
        """Writes entries of the stream in one go and returns their rows."""
        if entries:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(
                    json.dumps({**finite(row), _ID: entry_id.decode()}, allow_nan=False) + "\n"
                    for entry_id, row in entries
                )
            self.last_id = entries[-1][0]
        return [row for _, row in entries]


class Recorder:
    """Copies metrics, episodes and evaluations from Redis to the run folder and to the progress."""

    def __init__(self, url: str, keys: Keys, folder: RunFolder, progress: RunProgress) -> None:
        """Opens the files and a connection of its own.

        Args:
            url: Redis.
            keys: the run's keys.
            folder: takes the files.
            progress: takes the rows.
        """
        connection = connect(url, name="recorder")
        self._followed: tuple[tuple[JsonlFile, Reader, Callable[[Row], None]], ...] = (
            (
                JsonlFile(folder.metrics_file),
                partial(read_rows, connection, keys.metrics),
                progress.add_metrics,
            ),
            (
                JsonlFile(folder.episodes_file),
                partial(_read_episodes, connection, keys),
                progress.add_episode,
            ),
            (
                JsonlFile(folder.evaluations_file),
                partial(read_rows, connection, keys.evaluations),
                progress.add_evaluation,
            ),
        )

    def poll(self) -> int:
        """Copies what is new and returns the number of rows."""
        total = 0
        for file, read, add in self._followed:
            while True:
                new = file.append(read(file.last_id, _BATCH))
                for row in new:
                    add(row)
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


def finite(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row with numbers that JSON has no word for replaced by null."""
    return {
        key: None if isinstance(value, float) and value - value != 0.0 else value
        for key, value in row.items()
    }


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)
