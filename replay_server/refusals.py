"""The books on what was refused of each actor, and the list of those that are shut out.

Both lie in Redis, so that they outlive the service and any process may show them. An actor can write
neither.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import redis

from common.keys import Keys
from common.wire import valid_actor
from replay_server.connection import call

Kind = Literal["damaged", "fields", "size", "identity", "contract", "frames", "orphans", "unpaired"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Why entries are refused: the metadata does not decode or fit; the entry has other fields than it
should; it is larger than any honest one; it names another actor or id; it was written under another
contract; its frames do not fit; frames without metadata; metadata without frames."""
Refusals = dict[str, Counter[Kind]]
MAX_REASON_CHARACTERS = 200
"""Reasons quote what an actor wrote, so they are cut and made printable before anybody shows them."""


def count_refusals(client: redis.Redis, keys: Keys, actor: str, counts: Mapping[Kind, int]) -> None:
    """Adds to the books; ``client`` may be a pipeline."""
    for kind, count in counts.items():
        client.hincrby(keys.refused, f"{actor} {kind}", count)


def read_refusals(connection: redis.Redis, keys: Keys) -> Refusals:
    """Returns how many entries were refused, by actor and kind."""
    books: Refusals = {}
    for field, value in _read_hash(connection, keys.refused):
        actor, _, kind = field.partition(" ")
        known = next((each for each in KINDS if each == kind), None)
        if known is not None and valid_actor(actor) and value.isdecimal():
            books.setdefault(actor, Counter())[known] = int(value)
    return books


def total_by_kind(books: Refusals) -> Counter[Kind]:
    """Returns how many entries of all actors were refused, by kind."""
    total: Counter[Kind] = Counter()
    for counts in books.values():
        total.update(counts)
    return total


def ban(connection: redis.Redis, keys: Keys, actor: str, reason: str) -> None:
    """Shuts an actor out: its streams are no longer read, and where it has a user that is switched off."""
    connection.hset(keys.banned, actor, printable(reason))


def lift_ban(connection: redis.Redis, keys: Keys, actor: str) -> bool:
    """Lets an actor in again; returns whether it was shut out."""
    return bool(connection.hdel(keys.banned, actor))


def read_bans(connection: redis.Redis, keys: Keys) -> dict[str, str]:
    """Returns the actors that are shut out, each with the reason."""
    return {
        actor: printable(reason)
        for actor, reason in _read_hash(connection, keys.banned)
        if valid_actor(actor)
    }


def printable(text: str) -> str:
    """Returns a short text without anything that a terminal would obey."""
    shown = "".join(
        char if char.isprintable() else "?" for char in text[: MAX_REASON_CHARACTERS + 1]
    )
    cut = len(shown) > MAX_REASON_CHARACTERS
    return shown[: MAX_REASON_CHARACTERS - 1] + "…" if cut else shown


def _read_hash(connection: redis.Redis, key: str) -> Iterable[tuple[str, str]]:
    found: dict[bytes, bytes] = call(connection, "HGETALL", key)
    return [
        (field.decode(errors="replace"), value.decode(errors="replace"))
        for field, value in found.items()
    ]
