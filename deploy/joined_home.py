"""What a machine keeps of a run that it joined: credentials, reward lines and the spool, for its owner alone."""

import contextlib
import json
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from common.errors import ConfigError, CorruptError
from common.machine_home import machine_home, private_folder, write_private
from common.wire import valid_actor
from deploy.join_string import Invitation
from deploy.redis_address import compose_address
from replay_server.access import actor_user
from replay_server.spool import SUFFIX


@dataclass(frozen=True, slots=True)
class Leftover:
    """What waits on disk for a run.

    Attributes:
        run: name of the run.
        segments: how many wait.
        size_bytes: what they take.
    """

    run: str
    segments: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JoinedHome:
    """The folder of one joined actor.

    Attributes:
        name: of the actor.
    """

    name: str

    @property
    def folder(self) -> Path:
        """Holds all of it."""
        return _joined() / self.name

    @property
    def log_file(self) -> Path:
        """What the actor's process logs."""
        return self.folder / "actor.log"

    @property
    def lines(self) -> Path:
        """Reward lines of the runs it joined."""
        return self.folder / "reward-lines"

    def spool(self, run: str) -> Path:
        """Returns the folder for what waits for a run while the head is away.

        Raises:
            ConfigError: the name of the run is no folder's name.
        """
        if run in {"", ".", ".."} or Path(run).name != run or ":" in run:
            raise ConfigError(
                f"The head serves a run called {run!r}.",
                "a folder of this machine is called after the run, and this is no name for one",
                "on the head: apexmania train --run-dir runs/ANOTHER-NAME",
            )
        return self.folder / "spool" / run

    def keep(self, invitation: Invitation) -> None:
        """Stores the credentials; those of an earlier join are replaced, its spool stays."""
        private_folder(self.folder)
        values = asdict(invitation) | {"authority": _pem(invitation.authority)}
        write_private(self._credentials, json.dumps(values, indent=2) + "\n")

    def invitation(self) -> Invitation:
        """Returns the credentials.

        Raises:
            ConfigError: this machine has not joined by this name.
            CorruptError: the file is damaged.
        """
        if not valid_actor(self.name) or not self._credentials.exists():
            known = ", ".join(joined_names()) or "none"
            raise ConfigError(
                f"This machine has not joined as {self.name!r}.",
                f"it has no credentials of that name; it knows: {known}",
                "on the head: apexmania token create NAME; here: apexmania actor join 'THE STRING'",
            )
        try:
            values = json.loads(self._credentials.read_bytes())
            if values["authority"] is not None:
                values["authority"] = ssl.PEM_cert_to_DER_cert(values["authority"])
            return Invitation(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptError(
                f"The credentials {self._credentials} are damaged.",
                f"{type(error).__name__}: {error}",
                "join again: apexmania actor join 'THE STRING'",
            ) from error

    def leftovers(self) -> list[Leftover]:
        """Returns what waits on disk, by run."""
        return list(_leftovers(self.folder / "spool", self.name))

    def forget(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self.folder)

    @property
    def _credentials(self) -> Path:
        return self.folder / "credentials.json"


def joined_names() -> list[str]:
    """Returns the names by which this machine joined."""
    return sorted(file.parent.name for file in _joined().glob("*/credentials.json"))


def redis_url(invitation: Invitation) -> str:
    """Returns the address of the head's Redis for this actor, complete in itself."""
    return compose_address(
        host=invitation.host,
        port=invitation.port,
        user=actor_user(invitation.name),
        password=invitation.password,
        ca_pem=_pem(invitation.authority),
        identity_pem=invitation.identity,
        certified_host=invitation.certified_host,
    )


def _leftovers(spool: Path, actor: str) -> Iterator[Leftover]:
    if not spool.is_dir():
        return
    for folder in sorted(spool.iterdir()):
        sizes = []
        for file in (folder / actor).glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                sizes.append(file.stat().st_size)
        if sizes:
            yield Leftover(folder.name, len(sizes), sum(sizes))


def _joined() -> Path:
    return machine_home() / "joined"


def _pem(authority: bytes | None) -> str | None:
    return None if authority is None else ssl.DER_cert_to_PEM_cert(authority)
