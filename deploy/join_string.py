"""The one line that lets a machine join: where the head is, whom to trust there, and a name with its password."""

import base64
import binascii
import struct
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import msgpack

from common.errors import ConfigError
from common.wire import valid_actor

PREFIX = "apexmania-join-"
VERSION = "1"
_CRC = struct.Struct("<I")
_MOST_CHARACTERS = 32_768
_LAST_PORT = 65_535
_ANOTHER = "on the head: apexmania token create NAME prints one; copy it whole, in quotes"
_KEYS = {
    "host": "h",
    "port": "p",
    "name": "n",
    "password": "k",
    "tls": "t",
    "authority": "c",
    "identity": "s",
    "certified_host": "v",
}
"""Keys of the msgpack map, short because the line is pasted; what has no value is left out."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a join string says.

    Attributes:
        host: address of the head, as the joining machine reaches it.
        port: of its Redis.
        name: of the actor.
        password: of the actor's user on Redis.
        tls: whether the connection is encrypted.
        authority: certificate (DER) that alone is trusted, or None without encryption.
        identity: certificate and key (PEM) that the head demands, or None.
        certified_host: name in the head's certificate where it is not ``host``, or None.
    """

    host: str
    port: int
    name: str
    password: str
    tls: bool = True
    authority: bytes | None = None
    identity: str | None = None
    certified_host: str | None = None


def encode_invitation(invitation: Invitation) -> str:
    """Returns the line to paste."""
    fields = {_KEYS[name]: value for name, value in asdict(invitation).items() if value is not None}
    packed: bytes = msgpack.packb(fields)
    body = base64.urlsafe_b64encode(packed + _CRC.pack(zlib.crc32(packed))).decode("ascii")
    return f"{PREFIX}{VERSION}.{body.rstrip('=')}"


def decode_invitation(text: str) -> Invitation:
    """Returns what a pasted line says; blanks, line breaks and quotes around it do no harm.

    Raises:
        ConfigError: it is no join string, cut, changed, or made by another version.
    """
    line = "".join(text.split()).strip("'\"\ufeff")
    if not line.startswith(PREFIX):
        raise ConfigError("This is no join string.", f"one begins with {PREFIX}{VERSION}", _ANOTHER)
    version, dot, body = line.removeprefix(PREFIX).partition(".")
    if dot and version != VERSION:
        raise ConfigError(
            f"This join string has version {version[:16]!r}; this apexmania reads version {VERSION}.",
            "it was made by another version of apexmania",
            "install the same version here and on the head, then make a new one there",
        )
    if not dot or len(line) > _MOST_CHARACTERS:
        raise _mangled("it ends early" if not dot else f"it has {len(line):,} characters")
    return _invitation(_checked(body))


def _checked(body: str) -> bytes:
    """Returns the packed fields, their checksum proved."""
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _mangled(str(error)) from error
    packed, crc = raw[: -_CRC.size], raw[-_CRC.size :]
    if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(packed):
        raise _mangled("its checksum is wrong")
    return packed


def _invitation(packed: bytes) -> Invitation:
    names = {short: name for name, short in _KEYS.items()}
    try:
        fields: dict[str, Any] = msgpack.unpackb(
            packed, max_map_len=len(_KEYS), max_array_len=0, max_ext_len=0
        )
        values = {names[short]: value for short, value in fields.items()}
    except (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException) as error:
        raise _mangled(f"it does not decode ({type(error).__name__})") from error
    if not _possible(values):
        raise _mangled("a value in it is impossible")
    return Invitation(**values)


def _possible(values: dict[str, Any]) -> bool:
    required = (values.get(name) for name in ("host", "name", "password"))
    optional = (values.get(name, "") for name in ("identity", "certified_host"))
    port, tls = values.get("port"), values.get("tls")
    return (
        all(isinstance(text, str) and text for text in required)
        and all(isinstance(text, str) for text in optional)
        and isinstance(values.get("authority", b""), bytes)
        and type(tls) is bool
        and tls == ("authority" in values)
        and type(port) is int
        and 0 < port <= _LAST_PORT
        and valid_actor(values["name"])
    )


def _mangled(why: str) -> ConfigError:
    return ConfigError("This join string is damaged: it was cut or changed.", why, _ANOTHER)
