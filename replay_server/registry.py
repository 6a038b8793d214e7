"""Which actors belong to a run, and the place of each in the fleet; the launcher alone says so."""

from collections.abc import Iterable, Mapping

import redis

from common.keys import Keys
from replay_server.connection import Fields, call


def register(connection: redis.Redis, keys: Keys, names: Iterable[str]) -> None:
    """Has the replay service read the streams of these actors from now on; no actor may do it itself.

    A name is never taken back: what its actor wrote stays part of the log. Where all are known nothing is
    written, so a full Redis does not mind.
    """
    wanted = sorted(set(names))
    known: list[int] = call(connection, "SMISMEMBER", keys.actors, *wanted) if wanted else []
    missing = [name for name, there in zip(wanted, known, strict=True) if not there]
    if missing:
        connection.sadd(keys.actors, *missing)


def registered(connection: redis.Redis, keys: Keys) -> frozenset[str]:
    """Returns the actors whose streams are read."""
    names: set[bytes] = call(connection, "SMEMBERS", keys.actors)
    return frozenset(name.decode(errors="replace") for name in names)


def put_places(connection: redis.Redis, keys: Keys, places: Mapping[str, int]) -> None:
    """Writes the place of every actor that drives now, counted from 0.

    A hash, so that each actor asks for its own place and their number alone: a thousand actors that all
    read about all would cost a million places a second.
    """
    pipe = connection.pipeline(transaction=True)
    pipe.delete(keys.fleet)
    if places:
        fields: Fields = dict(places.items())
        pipe.hset(keys.fleet, mapping=fields)
    pipe.execute()


def read_places(connection: redis.Redis, keys: Keys) -> dict[str, int]:
    """Returns the place of every actor that drives now; an actor asks by ``fleet_view``."""
    fields: dict[bytes, bytes] = call(connection, "HGETALL", keys.fleet)
    return {name.decode(errors="replace"): int(index) for name, index in fields.items()}
