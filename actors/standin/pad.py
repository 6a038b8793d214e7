"""What a player's hands do: gas, brake, steering and two buttons, and the datagram that carries them."""

import math
import struct
from typing import NamedTuple

B_BUTTON = 0x2000
"""Restarts the race, as TrackMania's default for a gamepad."""
A_BUTTON = 0x1000
"""Closes the pop-up at the finish."""

PORT_VARIABLE = "APEXMANIA_PAD_PORT"
_LAYOUT = struct.Struct("<3fH")
DATAGRAM_BYTES = _LAYOUT.size


class Pad(NamedTuple):
    """The state of a gamepad.

    Attributes:
        gas: 0 to 1.
        brake: 0 to 1.
        steer: -1 left to 1 right.
        buttons: bits of an Xbox 360 pad that are held.
    """

    gas: float = 0.0
    brake: float = 0.0
    steer: float = 0.0
    buttons: int = 0


def pack_pad(pad: Pad) -> bytes:
    """Returns the datagram of a pad."""
    return _LAYOUT.pack(*pad)


def unpack_pad(data: bytes) -> Pad | None:
    """Returns the pad in a datagram with its axes cut to their range, None for other bytes."""
    if len(data) != DATAGRAM_BYTES:
        return None
    gas, brake, steer, buttons = _LAYOUT.unpack(data)
    if not all(map(math.isfinite, (gas, brake, steer))):
        return None
    return Pad(
        gas=min(max(gas, 0.0), 1.0),
        brake=min(max(brake, 0.0), 1.0),
        steer=min(max(steer, -1.0), 1.0),
        buttons=buttons,
    )
