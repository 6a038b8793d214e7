"""Who may do what on Redis: every role's user and rules, and one user for each actor.

Pure: names and keys go in, rules come out. Nobody gets CONFIG, EVAL, FLUSHALL, KEYS or SHUTDOWN, and an
actor can touch nothing but its own two streams and its own heartbeat.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from common.keys import CURRENT_RUN, Keys

Role = Literal["launcher", "replay", "learner", "evaluator", "reader"]
ROLES: tuple[Role, ...] = get_args(Role)
Rules = tuple[str, ...]
EVERY_RUN = Keys("*")
"""Stands for the keys of all runs, on a Redis that several runs share."""
NOBODY = "user default off resetpass ~* &* +@all"
"""Switches off the user that needs no password.

Nobody can be it, but it keeps its rights: Redis 7.0 replays its append-only file as this user, and would
leave out every transaction in it, which is all that actors ever wrote.
"""

_PREFIX = "actor:"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:{}*-")
_CONNECT = ("+auth", "+hello", "+ping", "+select", "+client|setname")
_ANY = "*"


def actor_user(name: str) -> str:
    """Returns the user of an actor."""
    return _PREFIX + name


def actor_of(user: str) -> str | None:
    """Returns the name of the actor whose user this is, or None where it is nobody's."""
    return user.removeprefix(_PREFIX) if user.startswith(_PREFIX) else None


def digest(password: str) -> str:
    """Returns a password as Redis stores it: only random ones of 256 bits bear a plain hash."""
    return hashlib.sha256(password.encode()).hexdigest()


def role_rules(role: Role, keys: Keys) -> Rules:
    """Returns what a role may do.

    Args:
        role: one of ``ROLES``.
        keys: of the run, or ``EVERY_RUN``.
    """
    return ("resetkeys", "resetchannels", "-@all", *_CONNECT, *_GRANTS[role](keys))


def actor_rules(name: str, keys: Keys) -> Rules:
    """Returns what one actor may do.

    Args:
        name: of the actor, as ``common.wire.valid_actor`` allows it.
        keys: of the run, or ``EVERY_RUN``.
    """
    told = (keys.contract, keys.control, keys.limiter, keys.weights, keys.reward_lines)
    return (
        "resetkeys",
        "resetchannels",
        "-@all",
        *_CONNECT,
        *(
            "+multi",
            "+exec",
            "+discard",
            "+subscribe",
            "+unsubscribe",
            f"&{_key(keys.weights_hint)}",
        ),
        *_owned(keys.meta(name), keys.frames(name)),
        "+xadd",
        # Not of its frames: XINFO STREAM FULL would have Redis copy all of them again and again.
        _selector("+xinfo|stream", *_read(keys.meta(name))),
        _selector("+set", *_owned(keys.heart(name))),
        _selector("+get +getrange +mget +strlen", *_read(*told), f"%R~{CURRENT_RUN}"),
        _selector("+hget +hlen", *_read(keys.fleet)),
        _selector("+xinfo|stream", *_read(keys.episodes)),
    )


def acl_line(user: str, rules: Rules, password_digest: str) -> str:
    """Returns a user as a line of an access list file.

    Args:
        user: the name.
        rules: from ``role_rules`` or ``actor_rules``.
        password_digest: from ``digest``; no file holds a password.
    """
    return " ".join(("user", user, "on", f"#{password_digest}", *rules))


def acl_lines(
    keys: Keys, *, roles: Mapping[Role, str], actors: Mapping[str, str] | None = None
) -> list[str]:
    """Returns a whole access list file, which lets nobody in without a password.

    Args:
        keys: of the run, or ``EVERY_RUN``.
        roles: digest of each role's password.
        actors: digest of each actor's password by the actor's name.
    """
    lines = [NOBODY]
    lines += [acl_line(role, role_rules(role, keys), roles[role]) for role in roles]
    for name, password_digest in (actors or {}).items():
        lines.append(acl_line(actor_user(name), actor_rules(name, keys), password_digest))
    return lines


def _launcher(_keys: Keys) -> Iterable[str]:
    """The administrator, which makes and ends users; even it cannot stop or reconfigure the server."""
    return (
        *("~am:*", "&am:*"),
        *("+@all", "-@dangerous", "-@scripting", "+acl", "+client", "+info"),
    )


def _replay(keys: Keys) -> Iterable[str]:
    own = (
        *(keys.index, keys.episodes, keys.quarantine, keys.priorities, keys.owner),
        *(keys.service, keys.limiter, keys.banned, keys.refused, keys.heart(_ANY)),
    )
    return (
        *_owned(*own),
        *_read(keys.contract, keys.control, keys.actors, keys.fleet),
        *("+get", "+mget", "+set", "+del", "+exists", "+strlen", "+smembers", "+scan", "+info"),
        *("+hset", "+hget", "+hgetall", "+hdel", "+hexists", "+hlen", "+hmget", "+hincrby"),
        *("+xadd", "+xtrim", "+xdel", "+xlen", "+xrange", "+xrevrange", "+xread", "+xinfo|stream"),
        *("+watch", "+unwatch", "+multi", "+exec", "+discard", "+memory|usage"),
        _selector(
            "+xtrim +xdel +xlen +xrange +xrevrange +xread +xinfo|stream +memory|usage +del +exists",
            *_owned(*_streams(keys)),
        ),
    )


def _learner(keys: Keys) -> Iterable[str]:
    log = (keys.index, *_streams(keys))
    return (
        *_owned(keys.weights, keys.metrics, keys.quarantine, keys.heart("learner")),
        *("+set", "+get", "+getrange", "+strlen", "+xadd", "+multi", "+exec", "+discard", "+info"),
        *("+publish", f"&{_key(keys.weights_hint)}"),
        _selector("+get", *_read(keys.contract, keys.control, keys.service, keys.limiter)),
        _selector("+xread +xrange +xrevrange +xinfo|stream +xlen", *_read(*log)),
        _selector("+xdel", *_owned(*_streams(keys))),
        _selector("+hincrby", *_owned(keys.refused)),
    )


def _evaluator(keys: Keys) -> Iterable[str]:
    return (
        *_owned(keys.evaluations, keys.heart("evaluator")),
        *("+set", "+xadd"),
        _selector(
            "+get +getrange +mget +strlen",
            *_read(keys.contract, keys.control, keys.limiter, keys.weights),
            *_read(keys.fleet, keys.reward_lines),
        ),
        _selector("+xinfo|stream", *_read(keys.episodes)),
    )


def _reader(keys: Keys) -> Iterable[str]:
    """Status, dashboard and recorder: all that people look at, but not the secret of the socket."""
    shown = (
        *(keys.contract, keys.control, keys.limiter, keys.weights, keys.fleet, keys.actors),
        *(keys.index, keys.episodes, keys.metrics, keys.evaluations),
        *(keys.quarantine, keys.refused, keys.banned),
        *(keys.heart(_ANY), *_streams(keys)),
    )
    return (
        *_read(*shown),
        f"%R~{CURRENT_RUN}",
        *("+get", "+getrange", "+mget", "+strlen", "+exists", "+ttl", "+scan", "+info"),
        *("+smembers", "+hgetall", "+hget", "+hlen", "+memory|usage"),
        *("+xlen", "+xrange", "+xrevrange", "+xread", "+xinfo|stream"),
    )


_GRANTS = {
    "launcher": _launcher,
    "replay": _replay,
    "learner": _learner,
    "evaluator": _evaluator,
    "reader": _reader,
}


def _streams(keys: Keys) -> tuple[str, str]:
    return keys.meta(_ANY), keys.frames(_ANY)


def _owned(*keys: str) -> tuple[str, ...]:
    return tuple(f"~{_key(key)}" for key in keys)


def _read(*keys: str) -> tuple[str, ...]:
    return tuple(f"%R~{_key(key)}" for key in keys)


def _selector(commands: str, *patterns: str) -> str:
    """Returns commands that hold for other keys than the user's first ones."""
    return f"({' '.join((commands, *patterns))})"


def _key(key: str) -> str:
    """Returns a key as a pattern; a byte that means something in patterns or rules matches any byte."""
    return "".join(chr(byte) if byte in _PLAIN else "?" for byte in key.encode())
