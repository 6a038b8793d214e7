"""The stand-in's end of the gamepad: takes datagrams and keeps the newest state."""

import socket
from collections.abc import Iterator

from actors.standin.pad import DATAGRAM_BYTES, Pad, unpack_pad
from actors.standin.ports import bound_socket


class GamepadReceiver:
    """Listens on 127.0.0.1 for what ``actors.standin.virtual_gamepad`` sends.

    Attributes:
        pad: the newest state.
        port: UDP port.
        datagrams: how many were understood.
    """

    def __init__(self, port: int) -> None:
        """Takes the port.

        Args:
            port: UDP port, 0 for a free one.

        Raises:
            MachineError: another program has it.
        """
        self._socket = bound_socket(port, kind=socket.SOCK_DGRAM, option="--pad-port")
        self.port: int = self._socket.getsockname()[1]
        self.pad = Pad()
        self.datagrams = 0

    def poll(self) -> int:
        """Takes what has arrived and returns the buttons pressed meanwhile, as bits.

        A button counts even where it was let go before the game looked.
        """
        pressed = 0
        for pad in self._arrived():
            pressed |= pad.buttons & ~self.pad.buttons
            self.pad = pad
            self.datagrams += 1
        return pressed

    def close(self) -> None:
        """Gives the port back."""
        self._socket.close()

    def _arrived(self) -> Iterator[Pad]:
        while True:
            try:
                data = self._socket.recv(DATAGRAM_BYTES + 1)
            except BlockingIOError:
                return
            pad = unpack_pad(data)
            if pad is not None:
                yield pad
