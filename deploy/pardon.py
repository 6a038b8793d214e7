"""Lets an actor in again that the replay service shut out, by the word of a person on the head."""

from common.errors import ConfigError
from common.keys import Keys
from deploy.live_run import address_of
from deploy.run_folder import RunFolder
from deploy.run_redis import launcher_url
from replay_server.connection import ask_server, connect
from replay_server.refusals import lift_ban, read_bans


def pardon(folder: RunFolder, name: str, *, url: str | None = None) -> str:
    """Lifts the ban of an actor in a running training; the run does the rest within seconds.

    Args:
        folder: the run.
        name: of the actor, whether it joined or Ray drives it.
        url: the run's Redis where it is not the private one.

    Returns:
        Why it had been shut out.

    Raises:
        ConfigError: it is not shut out, or the run has no Redis that could be asked.
        ApexManiaError: Redis is away or refuses the password.
    """
    address = address_of(
        folder,
        url or launcher_url(folder),
        given=url is not None,
        command=f"token pardon {name} --run {folder.path}",
    )
    connection, keys = connect(address, name="pardon"), Keys(folder.name)
    try:
        ask_server(connection, url=address)
        bans = read_bans(connection, keys)
        if name not in bans or not lift_ban(connection, keys, name):
            raise ConfigError(
                f"{name!r} is not shut out of the run {folder.name}.",
                f"shut out are: {', '.join(sorted(bans)) or 'none'}",
                f"apexmania status {folder.path}",
            )
        return bans[name]
    finally:
        connection.close()
