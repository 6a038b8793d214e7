"""The users of a Redis while it runs: made, switched off and removed with their connections."""

from collections.abc import Iterable
from dataclasses import dataclass

import redis

from replay_server.access import Rules
from replay_server.connection import call


@dataclass(frozen=True, slots=True)
class UserState:
    """How a user stands on the server.

    Attributes:
        on: whether it may log in.
        digests: of the passwords that let it in.
    """

    on: bool
    digests: frozenset[str]


def user_names(connection: redis.Redis) -> frozenset[str]:
    """Returns all users that the server knows."""
    names: list[bytes] = call(connection, "ACL", "USERS")
    return frozenset(name.decode(errors="replace") for name in names)


def user_states(connection: redis.Redis, users: Iterable[str]) -> dict[str, UserState]:
    """Returns how these users stand, in one round trip; those that the server does not know are left out."""
    wanted = list(users)
    pipe = connection.pipeline(transaction=False)
    for user in wanted:
        call(pipe, "ACL", "GETUSER", user)
    states = {}
    for user, reply in zip(wanted, pipe.execute(), strict=True):
        if reply is not None:
            said = dict(zip(reply[::2], reply[1::2], strict=True))
            digests = frozenset(digest.decode() for digest in said[b"passwords"])
            states[user] = UserState(b"on" in said[b"flags"], digests)
    return states


def put_user(connection: redis.Redis, user: str, *, rules: Rules, password_digest: str) -> None:
    """Makes a user, or gives one that is there these rules and this password alone."""
    call(connection, "ACL", "SETUSER", user, "reset", "on", f"#{password_digest}", *rules)


def switch_off(connection: redis.Redis, user: str) -> None:
    """Refuses a user from now on and ends its connections."""
    call(connection, "ACL", "SETUSER", user, "off")
    end_connections(connection, user)


def end_connections(connection: redis.Redis, user: str) -> None:
    """Ends the connections of a user, which a change of its password alone leaves open."""
    call(connection, "CLIENT", "KILL", "USER", user)


def remove_user(connection: redis.Redis, user: str) -> None:
    """Removes a user and ends its connections."""
    call(connection, "ACL", "DELUSER", user)
