"""The users of the actors that have a token, as they are on the server and as they should be."""

import structlog

from common.keys import Keys
from deploy.roster import RAY_ACTOR
from deploy.tokens import token_digests
from replay_server.access import actor_of, actor_rules, actor_user
from replay_server.connection import Client
from replay_server.hearts import say_left
from replay_server.pardons import pardon_renewed
from replay_server.refusals import read_bans
from replay_server.users import (
    UserState,
    end_connections,
    put_user,
    remove_user,
    switch_off,
    user_names,
    user_states,
)

_log = structlog.get_logger()


def correct_users(connection: Client, keys: Keys) -> None:
    """Brings the users of a run's own Redis up to the token files and the list of banned actors.

    It looks at what the server has, so a server that came back with an older list is corrected too; it
    needs to write no key, so one that is full is as well.

    Args:
        connection: Redis as the launcher.
        keys: the run.
    """
    tokens = token_digests()
    for name in sorted(filter(None, map(actor_of, user_names(connection)))):
        if name not in tokens and not RAY_ACTOR.fullmatch(name):
            remove_user(connection, actor_user(name))
            say_left(connection, keys, name)
            _log.info("actor_shut_out", actor=name, why="its token was revoked")
    users = {name: actor_user(name) for name in tokens}
    states = user_states(connection, users.values())
    bans = read_bans(connection, keys)
    banned = bans.keys() - pardon_renewed(connection, keys, bans, tokens)
    for name, user in users.items():
        state = states.get(user)
        if name not in banned:
            if state != UserState(on=True, digests=frozenset({tokens[name]})):
                _let_in(connection, keys, name, password_digest=tokens[name], before=state)
        elif state is not None and state.on:
            switch_off(connection, user)
            _log.warning("actor_shut_out", actor=name, why="the replay service banned it")


def _let_in(
    connection: Client,
    keys: Keys,
    name: str,
    *,
    password_digest: str,
    before: UserState | None,
) -> None:
    user = actor_user(name)
    put_user(connection, user, rules=actor_rules(name, keys), password_digest=password_digest)
    if before is not None and password_digest not in before.digests:
        end_connections(connection, user)  # they were opened with the password before
    _log.info("actor_let_in", actor=name)
