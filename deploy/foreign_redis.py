"""The user's own Redis: checked before anything is started."""

from common.errors import UnreachableError
from deploy.redis_address import redacted
from replay_server.connection import check_server, connect
from replay_server.write_probe import probe_write


def check_foreign(url: str, *, may_be_full: bool = False) -> None:
    """Checks the user's own server before anything is started.

    Args:
        url: as given to ``--redis``.
        may_be_full: for a run that goes on: trimming its log may make the room that it needs.

    Raises:
        ApexManiaError: it is away, too old, full, or refuses the password.
    """
    require_address(url)
    connection = connect(url, name="launcher")
    check_server(connection, url=url, may_be_full=may_be_full)
    if not may_be_full:
        probe_write(connection, shown=redacted(url))
    connection.close()


def require_address(url: str) -> None:
    """Refuses a text that is no address, before anything connects to it.

    Args:
        url: as given to ``--redis``.

    Raises:
        UnreachableError: it is none.
    """
    try:
        connect(url, name="launcher").close()
    except ValueError as error:
        raise UnreachableError(
            f"--redis {redacted(url)!r} is not a Redis address.",
            str(error),
            "--redis redis://:PASSWORD@HOST:6379/0",
        ) from error
