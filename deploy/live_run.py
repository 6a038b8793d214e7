"""Looks into the Redis of a run that is going on in another process."""

from typing import Any

from common.errors import ConfigError
from common.keys import Keys
from deploy.foreign_redis import require_address
from deploy.refused import Refused
from deploy.run_folder import RunFolder
from deploy.run_redis import reader_url
from replay_server.connection import OUTAGES, ask_server, call, connect
from replay_server.hearts import read_all
from replay_server.refusals import read_bans, read_refusals, total_by_kind

_STREAMS = ("index", "episodes", "quarantine", "metrics", "evaluations")


def read_hearts(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Returns the heartbeats of a running run; nothing where its Redis cannot be asked."""
    url = reader_url(folder)
    if url is None:
        return {}
    try:
        return read_all(connect(url, name="status"), Keys(folder.name))
    except OUTAGES:
        return {}


def read_refused(folder: RunFolder) -> Refused:
    """Returns what was refused in a running run; nothing where its Redis cannot be asked."""
    url = reader_url(folder)
    if url is None:
        return Refused()
    connection, keys = connect(url, name="status"), Keys(folder.name)
    try:
        total = total_by_kind(read_refusals(connection, keys))
        return Refused({kind: total[kind] for kind in total}, read_bans(connection, keys))
    except OUTAGES:
        return Refused()


def inspect(folder: RunFolder, *, url: str | None = None) -> dict[str, Any]:
    """Returns what the Redis of a run holds, also of one that is full or cannot write.

    Args:
        folder: the run.
        url: its Redis where it is not the private one.

    Raises:
        ConfigError: it has no Redis that could be asked.
        ApexManiaError: Redis is away or refuses the password.
    """
    address = address_of(
        folder,
        url or reader_url(folder),
        given=url is not None,
        command=f"replay inspect {folder.path}",
    )
    connection = connect(address, name="inspect")
    facts = ask_server(connection, url=address)
    keys = Keys(folder.name)
    actors = sorted(name.decode() for name in call(connection, "SMEMBERS", keys.actors))
    return {
        "run": folder.name,
        "redis": f"{facts.server} {'.'.join(map(str, facts.version))}",
        "used_memory_bytes": facts.used_memory_bytes,
        "max_memory_bytes": facts.max_memory_bytes,
        "full": facts.full,
        "refused": {
            name: dict(counts) for name, counts in sorted(read_refusals(connection, keys).items())
        },
        "banned": read_bans(connection, keys),
        "entries": {name: call(connection, "XLEN", getattr(keys, name)) for name in _STREAMS},
        "actors": {
            name: {
                "segments": call(connection, "XLEN", keys.meta(name)),
                "frames_bytes": call(
                    connection, "MEMORY", "USAGE", keys.frames(name), "SAMPLES", "5"
                ),
            }
            for name in actors
        },
        "hearts": {
            name: {key: value for key, value in heart.items() if not isinstance(value, bytes)}
            for name, heart in read_all(connection, keys).items()
        },
    }


def address_of(folder: RunFolder, url: str | None, *, given: bool, command: str) -> str:
    """Returns the address of a run's Redis, once it is clear that something can answer there.

    Args:
        folder: the run.
        url: what would be asked, None where the run has no Redis of its own.
        given: whether a person named it.
        command: for the fix, what the person typed.

    Raises:
        ConfigError: there is none, it is no address, or the run is not running.
    """
    if url is None:
        raise ConfigError(
            f"The run {folder.name} has no Redis of its own.",
            "it was started with --redis, whose password is stored nowhere",
            f"APEXMANIA_REDIS_URL=redis://:PASSWORD@HOST:PORT/0 apexmania {command}",
        )
    if given:
        require_address(url)
    elif not folder.in_use():
        raise ConfigError(
            f"The run {folder.name} is not running.",
            "its Redis is started with it and stopped with it",
            f"apexmania status {folder.path}",
        )
    return url
