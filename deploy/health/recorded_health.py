"""The health of a run from the rows in its folder, in the order in which they came about."""

import heapq
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from common.config import Config
from common.errors import CorruptError
from deploy.health.run_health import RunHealth
from deploy.run_files import read_rows
from deploy.run_folder import RunFolder

_Stamped = tuple[int, int, dict[str, Any]]


def read_health(folder: RunFolder, config: Config) -> RunHealth:
    """Returns the checks of a run over everything that was recorded of it.

    Raises:
        CorruptError: a line is damaged.
    """
    health = RunHealth(config)
    take = (health.add_episode, health.add_metrics, health.add_fleet)
    files = (folder.episodes_file, folder.metrics_file, folder.fleet_file)
    streams = [_stamped(place, read_rows(file)) for place, file in enumerate(files)]
    for _, place, row in heapq.merge(*streams, key=itemgetter(0, 1)):
        try:
            take[place](row)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptError(
                f"A row of {files[place]} is damaged.",
                f"{type(error).__name__}: {error}",
                "restore the file from a copy",
            ) from error
    return health


def _stamped(place: int, rows: Iterator[dict[str, Any]]) -> Iterator[_Stamped]:
    yield from ((int(row.get("env_steps", 0)), place, row) for row in rows)
