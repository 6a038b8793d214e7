"""The message that TrackMania's plugin sends with every picture: eleven little-endian float32.

There is no framing and no handshake. The order is that of the plugin TMRL Grab Data, which tmrl 0.7.1
reads in ``custom/tm/utils/tools.py`` and ``custom/tm/tm_gym_interfaces.py``.
"""

import math
import struct
from typing import NamedTuple

DEFAULT_PORT = 9000
"""TCP port on 127.0.0.1 on which the plugin serves one client."""

_LAYOUT = struct.Struct("<11f")
MESSAGE_BYTES = _LAYOUT.size
_FARTHEST_M = 1e5
_TOP_GEAR = 8
_TOP_RPM = 20_000.0


class Telemetry(NamedTuple):
    """One message, in the order of its eleven numbers.

    Attributes:
        speed_mps: speed over the ground.
        distance_m: driven since the race began; falls to 0 at a restart.
        x: position in metres.
        y: position in metres, up.
        z: position in metres.
        steer: steering given to the car, -1 left to 1 right.
        gas: gas given to the car, 0 to 1.
        brake: 1.0 while it brakes, else 0.0.
        finished: 1.0 from the finish to the next restart, else 0.0.
        gear: 0 for reverse.
        rpm: of the engine.
    """

    speed_mps: float
    distance_m: float
    x: float
    y: float
    z: float
    steer: float
    gas: float
    brake: float
    finished: float
    gear: float
    rpm: float


def pack(message: Telemetry) -> bytes:
    """Returns the ``MESSAGE_BYTES`` bytes of a message."""
    return _LAYOUT.pack(*message)


def unpack(data: bytes) -> Telemetry:
    """Returns the message in exactly ``MESSAGE_BYTES`` bytes; ``implausible`` judges it.

    Raises:
        ValueError: the length is another.
    """
    if len(data) != MESSAGE_BYTES:
        raise ValueError(f"a message has {MESSAGE_BYTES} bytes, not {len(data)}")
    return Telemetry(*_LAYOUT.unpack(data))


def implausible(message: Telemetry) -> str | None:
    """Returns why these numbers can be no message of the plugin, None where they can.

    Bytes that were cut or shifted on the way fail one of these within a few messages.
    """
    position = (message.x, message.y, message.z)
    if not all(math.isfinite(number) for number in message):
        return "a number is not finite"
    if max(map(abs, position)) > _FARTHEST_M:
        return f"the position {position} is farther than {_FARTHEST_M:.0f} m away"
    for name, low, high, whole in (
        ("brake", 0.0, 1.0, True),
        ("finished", 0.0, 1.0, True),
        ("gas", 0.0, 1.0, False),
        ("steer", -1.0, 1.0, False),
        ("gear", 0.0, float(_TOP_GEAR), True),
        ("rpm", 0.0, _TOP_RPM, False),
    ):
        value: float = getattr(message, name)
        if not low <= value <= high or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            return f"{name} is {value:g}, not {kind} from {low:g} to {high:g}"
    return None
