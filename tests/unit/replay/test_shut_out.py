"""A refusal that lasts is told from an outage."""

import ssl
import time

import pytest
import redis
from redis.exceptions import NoPermissionError

from common.errors import MismatchError
from replay_server.shut_out import NotLetInError, ShutOut, refuses

URL = "rediss://actor:pw@head:6390/0"


def wrapped(error: Exception) -> redis.ConnectionError:
    """Returns the error as redis-py raises it, with its reason behind it."""
    try:
        try:
            raise error
        except ssl.SSLError:
            raise redis.ConnectionError("Error 1 connecting")  # noqa: B904 - as redis-py does
    except redis.ConnectionError as outer:
        return outer


REFUSALS = [
    redis.AuthenticationError("WRONGPASS"),
    NoPermissionError("NOPERM"),
    wrapped(ssl.SSLCertVerificationError("self-signed certificate")),
    wrapped(ssl.SSLError("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert")),
]
OUTAGES = [
    redis.ConnectionError("refused"),
    redis.TimeoutError("slow"),
    wrapped(ssl.SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number")),
]


@pytest.mark.parametrize("error", REFUSALS, ids=repr)
def test_it_ends_what_is_refused_without_its_password(error: Exception) -> None:
    assert refuses(error)
    ending = ShutOut(URL, patience_s=0.0).note(error)
    assert isinstance(ending, MismatchError)
    assert "head:6390" in str(ending)
    assert "pw" not in str(ending)


@pytest.mark.parametrize("error", OUTAGES, ids=repr)
def test_an_outage_is_waited_out(error: Exception) -> None:
    assert not refuses(error)
    assert ShutOut(URL, patience_s=0.0).note(error) is None


def test_a_refusal_has_to_last() -> None:
    shut_out = ShutOut(URL, patience_s=60.0)
    assert shut_out.note(REFUSALS[0]) is None
    assert shut_out.note(REFUSALS[0]) is None


@pytest.mark.parametrize("between", ["an outage", "a success"])
def test_a_break_begins_the_time_anew(between: str) -> None:
    shut_out = ShutOut(URL, patience_s=1e-9)
    assert shut_out.note(REFUSALS[0]) is None
    if between == "an outage":
        assert shut_out.note(OUTAGES[0]) is None
    else:
        shut_out.clear()
    assert shut_out.note(REFUSALS[0]) is None
    assert shut_out.note(REFUSALS[0]) is not None


def test_a_password_may_be_waited_for_longer_than_all_else() -> None:
    shut_out = ShutOut(URL, patience_s=0.0, password_patience_s=60.0)
    assert shut_out.note(REFUSALS[0]) is None
    assert isinstance(shut_out.note(REFUSALS[2]), MismatchError)
    assert isinstance(ShutOut(URL, patience_s=0.0).note(REFUSALS[0]), NotLetInError)
    assert not isinstance(shut_out.note(REFUSALS[2]), NotLetInError)
    assert not isinstance(shut_out.note(REFUSALS[1]), NotLetInError)


def test_a_missing_right_ends_at_once() -> None:
    assert ShutOut(URL).note(REFUSALS[1]) is not None


def test_a_connection_that_breaks_off_is_no_sign_of_being_let_in_again() -> None:
    shut_out = ShutOut(URL, patience_s=0.02)
    assert shut_out.note(REFUSALS[3]) is None
    time.sleep(0.03)
    assert shut_out.note(wrapped(ssl.SSLEOFError("EOF occurred in violation of protocol"))) is None
    assert isinstance(shut_out.note(REFUSALS[3]), MismatchError)
