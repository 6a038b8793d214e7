"""Passwords of the head: made once, kept in the machine's home, the same at every start."""

import hashlib
import hmac

from common.machine_home import kept_password, machine_home
from replay_server.access import ROLES, Role

_ACTORS = "actors"
"""Names the secret that the passwords of a run's own actors come from."""


def role_password(role: Role) -> str:
    """Returns the password of a role on every private Redis of this machine."""
    return kept_password(machine_home() / "head" / "passwords" / role)


def role_passwords() -> dict[Role, str]:
    """Returns the password of every role."""
    return {role: role_password(role) for role in ROLES}


def actor_password(run: str, name: str) -> str:
    """Returns the password of an actor that the launcher starts.

    It is made from a secret that never leaves this machine, so that neither another run nor another
    actor can be guessed from it.

    Args:
        run: name of the run.
        name: of the actor.
    """
    secret = kept_password(machine_home() / "head" / "passwords" / _ACTORS)
    return hmac.new(secret.encode(), f"{run}/{name}".encode(), hashlib.sha256).hexdigest()
