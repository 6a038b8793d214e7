"""Configuration and users for a Redis of one's own, made by the code that a private Redis is made by."""

from pathlib import Path

from deploy.certificates import ServerFiles
from deploy.redis_configuration import Doors, configuration
from deploy.redis_listen import DEFAULT_PORT
from replay_server.access import EVERY_RUN, ROLES, acl_lines

ACTOR = "gaming-pc"
"""Name of the actor that the template has as an example."""
_FOLDER = Path("/etc/apexmania")
_DATA = Path("/var/lib/apexmania/redis")
_HOST = "192.168.1.5"
_MAX_BYTES = 2_000_000_000


def template_configuration() -> str:
    """Returns ``deploy/templates/redis.conf``: TLS on one address of a home network."""
    files = ServerFiles(_FOLDER / "ca.pem", _FOLDER / "server.pem", _FOLDER / "server-key.pem")
    doors = Doors(DEFAULT_PORT, hosts=(_HOST,), files=files)
    return configuration(doors, data=_DATA, users=_FOLDER / "users.acl", max_bytes=_MAX_BYTES)


def template_users() -> str:
    """Returns ``deploy/templates/users.acl``; Redis refuses it until every digest is filled in.

    ``train --redis`` takes the user ``launcher`` for all of its processes.
    """
    roles = {role: placeholder(role) for role in ROLES}
    lines = acl_lines(EVERY_RUN, roles=roles, actors={ACTOR: placeholder(ACTOR)})
    return "\n".join((*lines, ""))


def placeholder(name: str) -> str:
    """Returns what stands where the digest of somebody's password belongs."""
    return f"SHA256-OF-THE-PASSWORD-OF-{name}"
