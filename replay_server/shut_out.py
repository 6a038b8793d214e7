"""A server that answers and refuses: told from one that is away, since waiting does not help."""

import ssl
import time
from collections.abc import Iterator

import redis
from redis.exceptions import AuthenticationWrongNumberOfArgsError, NoPermissionError

from common.errors import MismatchError
from replay_server.connection import without_password

REFUSED: tuple[type[redis.RedisError], ...] = (
    redis.AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
)
"""What Redis raises for a user that it does not know, or that may not do this."""
PATIENCE_S = 10.0
"""A head that was started a moment ago may not know all its users yet; rights come with the user."""
_CLIENT_CERTIFICATE = ("certificate required", "bad certificate", "unknown ca")


class NotLetInError(MismatchError):
    """The server answers and knows no such user and password; it may learn of them, or they are gone."""


class NotAllowedError(MismatchError):
    """The server knows the user, which may not do this: it serves another run, or is not set up for us."""


def refuses(error: BaseException) -> bool:
    """Returns whether an error says that the server, or we, do not accept the other side."""
    return isinstance(error, REFUSED) or _is_certificates(error)


def refused(error: BaseException, url: str) -> MismatchError:
    """Returns the error for a person.

    Args:
        error: one that ``refuses``.
        url: of the server, shown without its password.
    """
    shown = without_password(url)
    if isinstance(error, REFUSED):
        kind = NotAllowedError if isinstance(error, NoPermissionError) else NotLetInError
        return kind(
            f"The head at {shown} does not let this actor in: {error}",
            "its token was revoked there, or what it sent was refused too often (apexmania status there), or "
            "the head has other tokens now than when this one was made",
            "on the head: apexmania token create NAME; here: apexmania actor join 'THE NEW STRING'",
        )
    return MismatchError(
        f"The certificates of this actor and the machine at {shown} do not fit: {error}",
        "another machine answers at this address, or the head made new certificates since the token",
        "check the address; on the head: apexmania token create NAME; here: apexmania actor join "
        "'THE NEW STRING'",
    )


class ShutOut:
    """Knows for how long a server has refused without a break.

    Args:
        url: of the server, for the message.
        patience_s: refusals of a shorter time count as an outage.
        password_patience_s: the same for a user and password that it does not take; None as all else.
    """

    def __init__(
        self,
        url: str,
        *,
        patience_s: float = PATIENCE_S,
        password_patience_s: float | None = None,
    ) -> None:
        self._url = url
        self._patience_s = patience_s
        self._password_patience_s = (
            patience_s if password_patience_s is None else password_patience_s
        )
        self._since_s: float | None = None

    def clear(self) -> None:
        """Notes that the server took a command."""
        self._since_s = None

    def note(self, error: BaseException) -> MismatchError | None:
        """Notes an error and returns the one to end with, None where waiting may still help."""
        if not refuses(error):
            if not _hung_up(error):
                self._since_s = None
            return None
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        return refused(error, self._url) if now_s - self._since_s >= self._patience(error) else None

    def _patience(self, error: BaseException) -> float:
        if isinstance(error, NoPermissionError):
            return 0.0
        return self._password_patience_s if isinstance(error, REFUSED) else self._patience_s


def _is_certificates(error: BaseException) -> bool:
    """Returns whether a certificate was refused, by us or by the server."""
    return any(
        isinstance(cause, ssl.SSLCertVerificationError)
        or (
            isinstance(cause, ssl.SSLError)
            and any(words in str(cause).lower().replace("_", " ") for words in _CLIENT_CERTIFICATE)
        )
        for cause in _causes(error)
    )


def _hung_up(error: BaseException) -> bool:
    """Returns whether TLS broke off without a word, as a server that wants a certificate does now and then."""
    return any(isinstance(cause, ssl.SSLEOFError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and what is behind it; redis-py wraps the reason."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
