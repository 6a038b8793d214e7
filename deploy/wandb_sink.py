"""Sends a run's rows to Weights & Biases from a process of its own.

It reads the run's JSONL files and nothing else, so it may hang or die without the run noticing.
Started as ``python -m deploy.wandb_sink RUN_FOLDER MODE PROJECT``; a SIGTERM makes it send what is
left and end.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.run_files import read_values
from deploy.run_folder import RunFolder, write_json

_POLL_S = 2.0
_HEALTH = "health"
_HEARTBEAT_KEYS = ("_id", "time")


class Tail:
    """Follows a JSONL file, whole lines only.

    Args:
        file: the rows.
        offset: where to begin (bytes); a file that is shorter is read from its beginning.
    """

    def __init__(self, file: Path, *, offset: int = 0) -> None:
        self._file = file
        size = file.stat().st_size if file.exists() else 0
        self.offset = offset if offset <= size else 0

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows that came since the last call."""
        if not self._file.exists():
            return
        with self._file.open("rb") as stream:
            stream.seek(self.offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                yield json.loads(line)


def follow(folder: RunFolder, *, mode: str, project: str, stop: threading.Event) -> None:
    """Sends rows until told to stop, then what is left.

    Args:
        folder: the run.
        mode: offline or online.
        project: name of the project.
        stop: set when the run is over.
    """
    import wandb

    run = wandb.init(
        project=project,
        name=folder.name,
        id=folder.name,
        dir=folder.path,
        mode="online" if mode == "online" else "offline",
        resume="allow",
        config=folder.read_config().model_dump(mode="json"),
        settings=wandb.Settings(silent=True, console="off"),
    )
    run.define_metric("learner_steps")
    run.define_metric("learner/*", step_metric="learner_steps")
    run.define_metric("episode_number")
    run.define_metric("episode/*", step_metric="episode_number")
    tails = open_tails(folder)
    last = False
    while not last:
        last = stop.wait(_POLL_S)
        for prefix, tail in tails.items():
            for row in tail.rows():
                if prefix == _HEALTH:
                    _alert(run, row)
                else:
                    run.log(_named(prefix, row))
        keep_offsets(folder, tails)
    run.summary.update(read_values(folder.summary_file))
    run.finish()


def open_tails(folder: RunFolder) -> dict[str, Tail]:
    """Returns the run's row files, each from where an earlier start of the run left it."""
    offsets = read_values(_offsets_file(folder))
    files = {
        "learner": folder.metrics_file,
        "episode": folder.episodes_file,
        "evaluation": folder.evaluations_file,
        _HEALTH: folder.health_file,
    }
    return {
        prefix: Tail(file, offset=int(offsets.get(prefix, 0))) for prefix, file in files.items()
    }


def keep_offsets(folder: RunFolder, tails: dict[str, Tail]) -> None:
    """Writes down how far the rows were sent."""
    write_json(_offsets_file(folder), {prefix: tail.offset for prefix, tail in tails.items()})


def _offsets_file(folder: RunFolder) -> Path:
    return folder.path / "wandb-sent.json"


def _named(prefix: str, row: dict[str, Any]) -> dict[str, Any]:
    numbers = {
        f"{prefix}/{key}": value
        for key, value in row.items()
        if isinstance(value, int | float) and key not in _HEARTBEAT_KEYS
    }
    if prefix == "learner":
        numbers["learner_steps"] = row["learner_steps"]
    if prefix == "episode":
        numbers["episode_number"] = row["n"]
    return numbers


def _alert(run: Any, change: dict[str, Any]) -> None:  # noqa: ANN401 - wandb is imported late
    """Sends a change of a health check as an alert, where it turned red or healed from that."""
    if "red" not in (change["before"], change["state"]):
        return
    turned_red = change["state"] == "red"
    run.alert(
        title=f"{change['check']} {'turned red' if turned_red else 'healed'}",
        text=f"{change['figure']}: {change['value']}, expected {change['bound']}. "
        f"{change['meaning']}. Do: {change['remedy']}",
        level="ERROR" if turned_red else "INFO",
    )


def main() -> None:
    """Runs the side process."""
    path, mode, project = sys.argv[1:4]
    os.nice(10)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    follow(RunFolder(Path(path)), mode=mode, project=project, stop=stop)


if __name__ == "__main__":
    main()
