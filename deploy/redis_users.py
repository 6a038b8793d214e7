"""The users of a private Redis: passwords from the machine's home, hashes alone in the run folder."""

import threading
from collections.abc import Iterable
from pathlib import Path

from common.keys import Keys
from common.machine_home import write_private
from deploy.head_secrets import actor_password, role_passwords
from deploy.tokens import token_digests
from replay_server.access import acl_lines, digest


class RunUsers:
    """The roles, the run's own actors, and whoever has a token at the moment the file is written.

    The server reads the file before its data, so nobody of them is refused while those load.

    Args:
        file: access list that the server reads at each start.
        run: name of the run; ``*`` stands for any.
    """

    def __init__(self, file: Path, run: str) -> None:
        self.file = file
        self._run = run
        self._lock = threading.Lock()
        self._actors: set[str] = set()

    def add_actors(self, names: Iterable[str]) -> None:
        """Notes actors for the file of the next start; on the server that runs, somebody else makes them."""
        with self._lock:
            self._actors.update(names)

    def actor_password(self, name: str) -> str:
        """Returns the password of one of the run's own actors."""
        return actor_password(self._run, name)

    def write(self) -> None:
        """Writes the file, before each start of the server."""
        with self._lock:
            own = {name: digest(self.actor_password(name)) for name in sorted(self._actors)}
            lines = acl_lines(
                Keys(self._run),
                roles={role: digest(password) for role, password in role_passwords().items()},
                actors=token_digests() | own,
            )
            write_private(self.file, "\n".join((*lines, "")))
