"""Keeps a running training open to whoever has a token, and shut to whoever has none any more."""

from collections.abc import Mapping
from typing import Any

import structlog

from actors.poller import Poller
from common.keys import Keys
from deploy.roster import RAY_ACTOR, Roster, places_of
from deploy.tokens import token_digests
from replay_server.access import actor_of, actor_rules, actor_user
from replay_server.announcement import announce_run, current_run
from replay_server.connection import call, connect
from replay_server.registry import put_places, read_places, register
from replay_server.users import put_user, remove_user, switch_off, user_names

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
        self._applied: dict[str, str] = {}
        self._banned: frozenset[str] = frozenset()
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
        tokens = token_digests() if self._own_users else {}
        if current_run(self._redis) != self._keys.run:
            announce_run(self._redis, self._keys.run)
        register(self._redis, self._keys, self._roster.names | tokens.keys())
        if self._own_users:
            self._sync_users(tokens)
        places = places_of(self._roster.names | self._living(tokens))
        if places != read_places(self._redis, self._keys):
            put_places(self._redis, self._keys, places)
            _log.info("fleet_changed", actors=sorted(places))

    def _sync_users(self, tokens: Mapping[str, str]) -> None:
        reasons: dict[bytes, bytes] = call(self._redis, "HGETALL", self._keys.banned)
        banned = frozenset(name.decode(errors="replace") for name in reasons)
        present = {actor_of(user) for user in user_names(self._redis)} - {None}
        pardoned = self._banned - banned
        for name, password_digest in tokens.items():
            known = name in present and self._applied.get(name) == password_digest
            if not known or name in pardoned:
                self._let_in(name, password_digest)
        for name in sorted(name for name in present if name is not None):
            if name not in tokens and not RAY_ACTOR.fullmatch(name):
                remove_user(self._redis, actor_user(name))
                self._applied.pop(name, None)
                _log.info("actor_shut_out", actor=name, why="its token was revoked")
        for name in sorted(banned & tokens.keys() - self._banned):
            switch_off(self._redis, actor_user(name))
            _log.warning("actor_shut_out", actor=name, why="the replay service banned it")
        self._banned = banned

    def _let_in(self, name: str, password_digest: str) -> None:
        put_user(
            self._redis,
            actor_user(name),
            rules=actor_rules(name, self._keys),
            password_digest=password_digest,
        )
        self._banned -= {name}
        self._applied[name] = password_digest
        _log.info("actor_let_in", actor=name)

    def _living(self, names: Any) -> frozenset[str]:  # noqa: ANN401 - any iterable of names
        ordered = sorted(names)
        if not ordered:
            return frozenset()
        pipe = self._redis.pipeline(transaction=False)
        for name in ordered:
            pipe.exists(self._keys.heart(name))  # and not its five kilobytes
        return frozenset(name for name, there in zip(ordered, pipe.execute(), strict=True) if there)
