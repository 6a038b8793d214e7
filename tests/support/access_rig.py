"""Users on a test's Redis, made by the access rules of a run."""

from urllib.parse import quote

import redis

from common.keys import Keys
from replay_server.access import ROLES, Role, actor_rules, actor_user, digest, role_rules
from replay_server.connection import call

PASSWORD = "pw"


def add_actor(connection: redis.Redis, url: str, keys: Keys, name: str) -> str:
    """Makes an actor's user and returns its address."""
    return _add(connection, url, actor_user(name), actor_rules(name, keys))


def add_role(connection: redis.Redis, url: str, keys: Keys, role: Role) -> str:
    """Makes a role's user and returns its address."""
    return _add(connection, url, role, role_rules(role, keys))


def remove_users(connection: redis.Redis, *actors: str) -> None:
    call(connection, "ACL", "DELUSER", *ROLES, *(actor_user(name) for name in actors))


def _add(connection: redis.Redis, url: str, user: str, rules: tuple[str, ...]) -> str:
    call(connection, "ACL", "SETUSER", user, "reset", "on", f"#{digest(PASSWORD)}", *rules)
    return url.replace("redis://", f"redis://{quote(user, safe='')}:{PASSWORD}@")
