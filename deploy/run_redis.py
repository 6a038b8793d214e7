"""The Redis of a run: a private one with a user for each member, or the user's own."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from common.config import Config
from common.keys import Keys
from deploy.foreign_redis import check_foreign
from deploy.head_secrets import role_password
from deploy.redis_listen import LOOPBACK, Listen
from deploy.redis_program import find_program
from deploy.redis_server import PrivateRedis, address, kept_port
from deploy.run_folder import RunFolder
from deploy.run_record import RunRecord
from deploy.token_users import correct_users
from replay_server.access import Role, actor_rules, actor_user, digest
from replay_server.connection import connect
from replay_server.users import put_user


class RunRedis(Protocol):
    """Tells each member of a run its address, with a user that may do what it needs and no more."""

    @property
    def private(self) -> bool:
        """Whether the server and its users are the run's own."""

    def raise_failure(self) -> None:
        """Raises why the server will not come back, if it will not."""

    def url(self, role: Role) -> str:
        """Returns the address for a role."""

    def actor_url(self, name: str) -> str:
        """Returns the address for an actor that the launcher starts, made on the server by this call."""


class ForeignRunRedis:
    """The user's own Redis, which has the one user that its address names.

    Args:
        url: as given to ``--redis``.
    """

    private = False

    def __init__(self, url: str) -> None:
        self._url = url

    def raise_failure(self) -> None:
        """Raises nothing: somebody else keeps the server alive."""

    def url(self, role: Role) -> str:  # noqa: ARG002 - as RunRedis has it
        """Returns the one address."""
        return self._url

    def actor_url(self, name: str) -> str:  # noqa: ARG002 - as RunRedis has it
        """Returns the one address."""
        return self._url


class PrivateRunRedis:
    """A running private Redis.

    Args:
        server: up.
        run: name of the run.
        host: address that the members use: loopback, unless some are on other machines.
    """

    private = True

    def __init__(self, server: PrivateRedis, *, run: str, host: str = LOOPBACK) -> None:
        self._server = server
        self._keys = Keys(run)
        self._host = host

    def raise_failure(self) -> None:
        """Raises why the server will not come back, if it will not."""
        self._server.raise_failure()

    def shut_out_banned(self) -> None:
        """Switches off whom the run had banned: the file that the server read knows tokens alone."""
        connection = connect(self.url("launcher"), name="launcher")
        try:
            correct_users(connection, self._keys)
        finally:
            connection.close()

    def url(self, role: Role) -> str:
        """Returns the address for a role."""
        host = LOOPBACK if role in {"launcher", "reader"} else self._host
        return self._server.address(role, role_password(role), host=host)

    def actor_url(self, name: str) -> str:
        """Returns the address for an actor that the launcher starts, made on the server by this call."""
        users = self._server.users
        password = users.actor_password(name)
        users.add_actors([name])
        connection = connect(self.url("launcher"), name="launcher")
        try:
            put_user(
                connection,
                actor_user(name),
                rules=actor_rules(name, self._keys),
                password_digest=digest(password),
            )
        finally:
            connection.close()
        return self._server.address(actor_user(name), password, host=self._host)


@contextlib.contextmanager
def foreign_run_redis(url: str, *, resume: bool) -> Iterator[RunRedis]:
    """Checks the user's own Redis and hands it out for the length of a block.

    Raises:
        ApexManiaError: it is away, too old, full, or refuses the password.
    """
    check_foreign(url, may_be_full=resume)
    yield ForeignRunRedis(url)


@contextlib.contextmanager
def private_run_redis(
    folder: RunFolder, config: Config, *, listen: Listen | None, members_elsewhere: bool = False
) -> Iterator[RunRedis]:
    """Runs a private Redis for the length of a block.

    Args:
        folder: the run.
        config: of the run.
        listen: where other machines reach it, or None for loopback alone.
        members_elsewhere: whether learner, replay service, evaluator or actors may be on other machines.

    Raises:
        MachineError: it could not be started here.
    """
    server = PrivateRedis(
        find_program(tls=listen is not None and listen.tls),
        folder=folder.redis,
        log=folder.logs / "redis.log",
        max_bytes=config.replay.max_redis_bytes,
        run=folder.name,
        listen=listen,
    )
    server.start()
    try:
        host = listen.host if listen is not None and members_elsewhere else LOOPBACK
        members = PrivateRunRedis(server, run=folder.name, host=host)
        members.shut_out_banned()
        yield members
    finally:
        server.stop()


def reader_url(folder: RunFolder) -> str | None:
    """Returns the address that shows what people look at, or None where the run never had a Redis.

    It works on the machine, and for the person, that started the run.

    Args:
        folder: the run.
    """
    return _kept_url(folder, "reader")


def launcher_url(folder: RunFolder) -> str | None:
    """Returns the address that may change anything, or None where the run never had a Redis.

    It works on the machine, and for the person, that started the run.

    Args:
        folder: the run.
    """
    return _kept_url(folder, "launcher")


def _kept_url(folder: RunFolder, role: Role) -> str | None:
    port = kept_port(folder.redis)
    if port is None:
        return None
    return address(port, role, role_password(role), listen=RunRecord.open(folder).listen)
