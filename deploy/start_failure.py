"""A server that did not come up: why, how it is mended, and when to give it up."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from common.errors import MachineError

MOST_STARTS = 5
"""In a row that fail for a reason which no waiting mends."""
PATIENCE_S = 300.0
"""How long a reason that may pass is waited out: memory or a disk that somebody frees."""
_DAMAGED = (
    "reading the append only file",
    "AOF MANIFEST FILE ERROR",
    "Internal error in RDB reading",
)
"""What Redis and Valkey print of data that they cannot read, with whatever stands around it."""


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Why a server did not come up.

    Attributes:
        error: for a person.
        lasting: whether it will fail like this until somebody mends it.
    """

    error: MachineError
    lasting: bool = False


def not_started(program: Path, *, folder: Path, why: OSError) -> StartFailure:
    """Returns what to say of a program that the system did not start.

    Args:
        program: the server.
        folder: of its data.
        why: what the system said.
    """
    return StartFailure(
        MachineError(
            f"{program} could not be started.",
            str(why),
            f"free processes, memory and disk (df -h {folder}), then start again",
        )
    )


def not_up(
    program: Path, *, port: int, exit_code: int | None, folder: Path, log: Path, since: int
) -> StartFailure:
    """Returns what to say of a server that started and did not answer.

    Args:
        program: the server.
        port: where it should have listened.
        exit_code: its own, None where it goes on but is silent.
        folder: of its data, in the folder of the run.
        log: file that took its output.
        since: bytes of the log before this start.
    """
    lines = _lines(log, since)
    what = f"{program} did not start on port {port} (exit code {exit_code})."
    damage = next((line for line in lines if any(words in line for words in _DAMAGED)), None)
    if damage is None:
        last = lines[-1] if lines else "it printed nothing"
        fix = f"read {log}; another server: --redis redis://:PASSWORD@HOST:PORT"
        return StartFailure(MachineError(what, f"its last line: {last}", fix))
    data = folder / "appendonlydir"
    return StartFailure(
        MachineError(
            what,
            f"its data on disk are damaged: {damage.partition(' # ')[2] or damage}",
            f"redis-check-aof --fix {_to_mend(program, data, damage)}, which cuts the file at the damage "
            "(Debian's package redis-tools brings it), then "
            f"apexmania train --resume {folder.parent}; where it cannot: move {data} away, and the run "
            "goes on from its newest checkpoint with an empty replay",
        ),
        lasting=True,
    )


class FailedStarts:
    """Counts the starts in a row that failed."""

    def __init__(self) -> None:
        self._count = 0
        self._since_s = 0.0

    def clear(self) -> None:
        """Notes that the server came up."""
        self._count = 0

    def hopeless(self, failure: StartFailure) -> bool:
        """Notes a failure and returns whether to give up."""
        if self._count == 0:
            self._since_s = time.monotonic()
        self._count += 1
        waited_s = time.monotonic() - self._since_s
        return self._count >= MOST_STARTS and (failure.lasting or waited_s >= PATIENCE_S)


def _to_mend(program: Path, data: Path, damage: str) -> Path:
    """Returns what to give to Redis's tool, which cannot read a manifest whose first file Valkey wrote."""
    named = re.search(r"\S+\.incr\.aof", damage)
    if named is not None and not program.name.startswith("redis"):
        return data / named[0]
    return data / "appendonly.aof.manifest"


def _lines(log: Path, since: int) -> list[str]:
    words = log.read_bytes()[since:].decode(errors="replace")
    return [line for line in words.splitlines() if line.strip()]
