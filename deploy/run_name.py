"""A run's name on a Redis that several runs share: one name, one run."""

from common.errors import ConfigError
from common.keys import Keys
from replay_server.connection import call, connect


class NameTakenError(ConfigError):
    """Another run on this Redis has the name; nothing of this one was stored there."""


def require_free_name(url: str, run: str) -> None:
    """Refuses a name that a run on this Redis has already, before a folder is made for it.

    Args:
        url: the user's own Redis.
        run: name of the new run.

    Raises:
        NameTakenError: the name is taken.
    """
    connection = connect(url, name="launcher")
    taken = bool(call(connection, "EXISTS", Keys(run).contract))
    connection.close()
    if taken:
        raise name_taken(run)


def name_taken(run: str) -> NameTakenError:
    """Returns the error for a name that another run has."""
    return NameTakenError(
        f"The Redis already holds a run with the name {run!r}.",
        "the name of a run's folder is its name there, and two runs would mix their logs",
        "choose another --run-dir; to go on with the old run: "
        "apexmania train --resume ITS_FOLDER --redis URL",
    )
