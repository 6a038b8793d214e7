"""The health of a run from the rows in its folder, in the order in which they came about."""

import heapq
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import structlog

from common.config import Config
from common.errors import CorruptError
from deploy.health.run_health import RunHealth
from deploy.run_files import read_rows, read_sound_rows
from deploy.run_folder import RunFolder

_log = structlog.get_logger()
_Stamped = tuple[int, int, dict[str, Any]]


def read_health(folder: RunFolder, config: Config) -> RunHealth:
    """Returns the checks of a run over everything that was recorded of it.

    Rows of the fleet matter to nothing but this, so damaged ones are warned of and passed over.

    Raises:
        CorruptError: a line of episodes or metrics is damaged.
    """
    health = RunHealth(config)
    take = (health.add_episode, health.add_metrics, health.add_fleet)
    files = (folder.episodes_file, folder.metrics_file, folder.fleet_file)
    readers = (read_rows, read_rows, read_sound_rows)
    streams = [
        _stamped(place, read(file))
        for place, (read, file) in enumerate(zip(readers, files, strict=True))
    ]
    for _, place, row in heapq.merge(*streams, key=itemgetter(0, 1)):
        try:
            take[place](row)
        except (KeyError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            if files[place] == folder.fleet_file:
                _log.warning(
                    "row_passed_over", what=f"A row of {files[place]} is damaged.", why=why
                )
                continue
            raise CorruptError(
                f"A row of {files[place]} is damaged.", why, "restore the file from a copy"
            ) from error
    return health


def _stamped(place: int, rows: Iterator[dict[str, Any]]) -> Iterator[_Stamped]:
    for row in rows:
        env_steps = row.get("env_steps", 0)
        yield env_steps if isinstance(env_steps, int) else 0, place, row
