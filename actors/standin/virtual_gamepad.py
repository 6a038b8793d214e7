"""Takes the place of the module ``vgamepad`` where the game is the stand-in.

A real ``vgamepad`` needs a driver (ViGEm on Windows, uinput on Linux) that few machines for tests have.
tmrl asks for nothing but the class below. The process that runs tmrl puts this module into
``sys.modules["vgamepad"]``; the port comes from the environment variable ``APEXMANIA_PAD_PORT``.
"""

import os
import socket

from actors.standin.pad import PORT_VARIABLE, Pad, pack_pad
from common.errors import ConfigError


class VX360Gamepad:
    """An Xbox 360 pad whose every ``update`` goes to the stand-in as one datagram."""

    def __init__(self) -> None:
        """Reads the port.

        Raises:
            ConfigError: the environment names no port.
        """
        port = os.environ.get(PORT_VARIABLE, "")
        if not port.isdecimal():
            raise ConfigError(
                f"{PORT_VARIABLE} is {port!r}.",
                "the stand-in's gamepad needs the port on which the stand-in listens",
                f"export {PORT_VARIABLE}=PORT, as printed by apexmania game standin",
            )
        self._address = ("127.0.0.1", int(port))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._pad = Pad()

    def right_trigger_float(self, value_float: float) -> None:
        """Sets the gas.

        Args:
            value_float: 0 to 1.
        """
        self._pad = self._pad._replace(gas=float(value_float))

    def left_trigger_float(self, value_float: float) -> None:
        """Sets the brake.

        Args:
            value_float: 0 to 1.
        """
        self._pad = self._pad._replace(brake=float(value_float))

    def left_joystick_float(self, x_value_float: float, y_value_float: float) -> None:  # noqa: ARG002 - vgamepad's own signature
        """Sets the steering.

        Args:
            x_value_float: -1 left to 1 right.
            y_value_float: means nothing to a car.
        """
        self._pad = self._pad._replace(steer=float(x_value_float))

    def press_button(self, button: int) -> None:
        """Holds a button.

        Args:
            button: its bit.
        """
        self._pad = self._pad._replace(buttons=self._pad.buttons | int(button))

    def release_button(self, button: int) -> None:
        """Lets a button go.

        Args:
            button: its bit.
        """
        self._pad = self._pad._replace(buttons=self._pad.buttons & ~int(button))

    def reset(self) -> None:
        """Lets everything go."""
        self._pad = Pad()

    def update(self) -> None:
        """Sends the state; nobody may be listening, as with a real pad."""
        try:
            self._socket.sendto(pack_pad(self._pad), self._address)
        except ConnectionError:
            return

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()
