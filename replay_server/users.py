"""The users of a Redis while it runs: made, switched off and removed with their connections."""

import redis

from replay_server.access import Rules
from replay_server.connection import call


def user_names(connection: redis.Redis) -> frozenset[str]:
    """Returns all users that the server knows."""
    names: list[bytes] = call(connection, "ACL", "USERS")
    return frozenset(name.decode(errors="replace") for name in names)


def put_user(connection: redis.Redis, user: str, *, rules: Rules, password_digest: str) -> None:
    """Makes a user, or gives one that is there these rules and this password alone."""
    call(connection, "ACL", "SETUSER", user, "reset", "on", f"#{password_digest}", *rules)


def switch_off(connection: redis.Redis, user: str) -> None:
    """Refuses a user from now on and ends its connections."""
    call(connection, "ACL", "SETUSER", user, "off")
    call(connection, "CLIENT", "KILL", "USER", user)


def remove_user(connection: redis.Redis, user: str) -> None:
    """Removes a user and ends its connections."""
    call(connection, "ACL", "DELUSER", user)
