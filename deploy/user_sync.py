"""Keeps a running training open to whoever has a token, and shut to whoever has none any more."""

from collections.abc import Collection

import structlog

from actors.poller import Poller
from common.keys import Keys
from deploy.roster import Roster, places_of
from deploy.token_users import correct_users
from deploy.tokens import token_digests
from replay_server.announcement import announce_run, current_run
from replay_server.connection import connect
from replay_server.registry import put_places, read_places, register

_PERIOD_S = 1.0
_log = structlog.get_logger()


class UserSync:
    """Brings Redis up to the token files and the roster each second, also after it lost something.

    A token that is made while the run goes on lets its actor in within a second; one that is taken back,
    and an actor that the replay service banned, is cut off within a second. Every living actor has a
    place in the fleet: all that Ray drives, and of those with a token who has a heartbeat.

    Args:
        url: Redis as the launcher.
        keys: the run.
        roster: the actors that Ray drives.
        own_users: whether the server's users are ours to change; not so with the user's own Redis.
    """

    def __init__(self, url: str, keys: Keys, *, roster: Roster, own_users: bool) -> None:
        self._redis = connect(url, name="user-sync")
        self._keys = keys
        self._roster = roster
        self._own_users = own_users
        self._poller = Poller("user-sync", self.sync, period_s=_PERIOD_S)

    def start(self) -> None:
        """Syncs once, so that actors find what they need, then goes on in a thread."""
        self.sync()
        self._poller.start()

    def close(self) -> None:
        """Ends the thread."""
        self._poller.close()
        self._redis.close()

    def raise_failure(self) -> None:
        """Raises what ended the thread, if anything did."""
        self._poller.raise_failure()

    def sync(self) -> None:
        """Does it once."""
        if self._own_users:
            correct_users(self._redis, self._keys)  # before all that a full Redis refuses
        tokens = token_digests().keys() if self._own_users else frozenset()
        if current_run(self._redis) != self._keys.run:
            announce_run(self._redis, self._keys.run)
        register(self._redis, self._keys, self._roster.names | tokens)
        places = places_of(self._roster.names | self._living(tokens))
        if places != read_places(self._redis, self._keys):
            put_places(self._redis, self._keys, places)
            _log.info("fleet_changed", actors=sorted(places))

    def _living(self, names: Collection[str]) -> frozenset[str]:
        ordered = sorted(names)
        if not ordered:
            return frozenset()
        pipe = self._redis.pipeline(transaction=False)
        for name in ordered:
            pipe.exists(self._keys.heart(name))  # and not its five kilobytes
        return frozenset(name for name, there in zip(ordered, pipe.execute(), strict=True) if there)
