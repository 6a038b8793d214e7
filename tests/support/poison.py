"""Metadata that no check may let through, and that must cost nobody anything."""

import zlib
from collections.abc import Callable

import msgpack

from common.wire import encode_segment
from tests.support.replay_rig import CONTRACT
from tests.support.segments import make_segment

Poison = Callable[[str, int, int], bytes]
"""From the name of an actor, an epoch and a seq to metadata."""


def sealed(packed: bytes) -> bytes:
    """Returns bytes under a right checksum."""
    return zlib.crc32(packed).to_bytes(4, "little") + packed


def fields_of(actor: str, epoch: int, seq: int) -> dict[str, object]:
    """Returns the fields of a valid segment of 20 steps."""
    segment = make_segment(
        contract=CONTRACT.fingerprint, actor=actor, epoch=epoch, seq=seq, steps=20
    )
    fields: dict[str, object] = msgpack.unpackb(encode_segment(segment).meta[4:])
    return fields


def changed(**changes: object) -> Poison:
    """Returns metadata that is whole but for some fields."""
    return lambda *place: sealed(msgpack.packb({**fields_of(*place), **changes}))


def without(name: str) -> Poison:
    """Returns metadata that lacks a field."""

    def poison(actor: str, epoch: int, seq: int) -> bytes:
        fields = fields_of(actor, epoch, seq)
        del fields[name]
        return sealed(msgpack.packb(fields))

    return poison


POISON: dict[str, Poison] = {
    "truncated": lambda *place: changed()(*place)[:-7],
    "garbage": lambda _actor, _epoch, seq: b"\x00garbage\xff" * (seq + 1),
    "empty": lambda *_: b"",
    "deep": lambda *_: sealed(b"\x91" * 100_000 + b"\xc0"),
    "map of 4 Gi": lambda *_: sealed(b"\xdf\xff\xff\xff\xff"),
    "array of 4 Gi": lambda *_: sealed(b"\xdd\xff\xff\xff\xff"),
    "binary of 4 GiB": lambda *_: sealed(b"\xc6\xff\xff\xff\xff"),
    "empty maps": lambda *_: sealed(b"\xdd\x00\x03\x0d\x40" + b"\x80" * 200_000),
    "extension": lambda *_: sealed(b"\xc8\x00\x01\x01\x00"),
    "not a number": changed(rewards=b"\x00\x00\xc0\x7f" * 20),
    "infinite": changed(rewards=b"\x00\x00\x80\x7f" * 20),
    "overflowing": changed(rewards=b"\xff\xff\x7f\x7f" * 20),
    "greedy priorities": changed(priorities=b"\xff\xff\x7f\x7f" * 20),
    "wrong shape": changed(steps=19),
    "wide": changed(n_features=2**31),
    "wrong crc": lambda *place: b"\x00\x00\x00\x00" + changed()(*place)[4:],
    "unknown action": changed(actions=b"\xff" * 20),
    "another schema": changed(schema=b"\x1b]0;pwned\x07" * 1000),
    "a number beyond": changed(episode=2**63),
    "an extra field": changed(extra=1),
    "a missing field": without("epoch"),
    "terminal escapes": changed(contract="\x1b[2J\x1b]52;c;cm0gLXJmIH4=\x07"),
    "another type": changed(actor=["a1"]),
}
"""What does not decode; each counts as damaged."""
FOREIGN: dict[str, tuple[str, Poison]] = {
    "another contract": ("contract", changed(contract="0" * 64)),
    "another actor": ("identity", changed(actor="a1")),
    "another id": ("identity", changed(seq=999)),
}
"""What decodes and is not this actor's; with the kind under which it counts."""
