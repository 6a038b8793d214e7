"""The contract of a run in Redis, where every process finds it."""

import msgpack
import redis

from common.contract import Contract, fingerprint
from common.errors import CorruptError
from common.game_spec import GameSpec
from common.keys import Keys
from replay_server.connection import call


def put_contract(
    connection: redis.Redis, keys: Keys, contract: Contract, *, new_run: bool = False
) -> bool:
    """Publishes the contract; processes that run under another one refuse by name.

    Args:
        connection: Redis.
        keys: the run's keys.
        contract: of the run.
        new_run: leaves a contract alone that is there already: the name is taken.

    Returns:
        Whether the contract was published.
    """
    terms = {**contract.terms(), "config_json": contract.config_json}
    packed = msgpack.packb({**terms, "fingerprint": contract.fingerprint})
    return bool(connection.set(keys.contract, packed, nx=new_run))


def get_contract(connection: redis.Redis, keys: Keys) -> Contract | None:
    """Returns the run's contract, or None before the head published one.

    Raises:
        CorruptError: the stored value is no contract, or does not match its own fingerprint.
    """
    packed: bytes | None = call(connection, "GET", keys.contract)
    if packed is None:
        return None
    try:
        fields = msgpack.unpackb(packed, max_ext_len=0)
        contract = Contract(
            fingerprint=str(fields["fingerprint"]),
            spec=GameSpec.from_dict(fields),
            game=str(fields["game"]),
            track=str(fields["track"]),
            config_json=str(fields["config_json"]),
            actions=tuple(tuple(float(value) for value in row) for row in fields["actions"]),
            schema_version=int(fields["schema_version"]),
            code_version=str(fields["code_version"]),
        )
    except (
        *(ValueError, TypeError, KeyError, AssertionError, RecursionError, OverflowError),
        msgpack.UnpackException,
    ) as error:
        raise _corrupt(keys, f"it does not decode ({type(error).__name__})") from error
    if fingerprint(contract.terms()) != contract.fingerprint:
        raise _corrupt(keys, "its fingerprint is not that of its terms")
    return contract


def fingerprint_in(packed: bytes) -> str | None:
    """Returns the fingerprint in a stored contract without checking the rest; None where it has none."""
    try:
        return str(msgpack.unpackb(packed, max_ext_len=0)["fingerprint"])
    except (ValueError, TypeError, KeyError, msgpack.UnpackException):
        return None


def _corrupt(keys: Keys, why: str) -> CorruptError:
    return CorruptError(
        f"The contract of run {keys.run!r} in Redis is damaged.",
        why,
        "start the run again on the head, which writes it anew",
    )
