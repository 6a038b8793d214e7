"""Holds the plugin's only telemetry connection, looks at every message, and serves them on to tmrl.

tmrl neither notices that its telemetry ended nor connects again, and keeps no time. The tee connects for as
long as it takes, says in a word how the telemetry is, and stamps each message as it arrives; tmrl
connects to it instead and never sees a broken stream.
"""

import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from actors.trackmania.telemetry import MESSAGE_BYTES, Telemetry, implausible, unpack

REFUSED, SILENT, FLOWING = "refused", "silent", "flowing"
STALLED, CLOSED, MISFRAMED = "stalled", "closed", "misframed"
BROKEN = "broken"
"""The tee's own thread ended by an error; only a new tee goes on."""
STALL_S = 0.8
"""Telemetry comes with each rendered frame; without any for so long it has stopped."""
_RECONNECT_S = 0.25
_CONNECT_S = 0.25
_WAKE_S = 0.1
_OWN_PAUSE_S = 0.2
_CHUNK = 1 << 16
_HOST = "127.0.0.1"
_log = structlog.get_logger()

Listener = Callable[[Telemetry, float], None]
"""Takes a message and when it arrived, on the clock of ``time.perf_counter``."""


@dataclass(frozen=True, slots=True)
class TeeCounters:
    """What happened so far.

    Attributes:
        connects: connections to the plugin.
        drops: connections that ended after telemetry had flowed.
        misframes: times at which the bytes were no message.
        messages: whole messages.
    """

    connects: int = 0
    drops: int = 0
    misframes: int = 0
    messages: int = 0


class TelemetryTee:
    """A thread between the plugin and tmrl.

    Args:
        port: the plugin's port on this machine.
        listener: called in the thread with each message.

    Attributes:
        port: where tmrl is served, on 127.0.0.1.
        counters: what happened so far.
        latest: the newest message and when it arrived (``time.perf_counter``), None before the first.
    """

    def __init__(self, port: int, *, listener: Listener | None = None) -> None:
        self._plugin_port = port
        self._listener = listener
        self._server = socket.create_server((_HOST, 0))
        self._server.setblocking(False)
        self.port = int(self._server.getsockname()[1])
        self._plugin: socket.socket | None = None
        self._clients: list[socket.socket] = []
        self._received = bytearray()
        self._closing = threading.Event()
        self._phase = REFUSED
        self._phase_since_s = time.perf_counter()
        self._next_connect_s = 0.0
        self._quiet_s = 0.0
        self.counters = TeeCounters()
        self.latest: tuple[Telemetry, float] | None = None
        self._thread = threading.Thread(target=self._run, name="telemetry-tee", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """How the telemetry is: refused, silent, flowing, stalled, closed, misframed or broken."""
        latest = self.latest
        if self._phase == FLOWING and latest is not None:
            return STALLED if self._quiet_s > STALL_S else FLOWING
        return self._phase

    @property
    def since_s(self) -> float:
        """Seconds since the telemetry is as it is; where it stalled, since the last message."""
        latest = self.latest
        since_s = self._phase_since_s
        if self.state == STALLED and latest is not None:
            since_s = latest[1]
        return time.perf_counter() - since_s

    def close(self) -> None:
        """Ends the thread and every connection; tmrl's has to have ended before."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._relay()
        except Exception:  # noqa: BLE001 - the top of the thread; its state tells
            _log.exception("telemetry_tee_died", port=self._plugin_port)
            self._enter(BROKEN)
        finally:
            for connection in (self._server, self._plugin, *self._clients):
                if connection is not None:
                    connection.close()

    def _relay(self) -> None:
        """Serves until it is closed."""
        turned_s = time.perf_counter()
        while not self._closing.is_set():
            now_s = time.perf_counter()
            # Where this thread was not served, silence is not the plugin's fault.
            self._quiet_s += min(now_s - turned_s, _OWN_PAUSE_S)
            turned_s = now_s
            if self._plugin is None and time.perf_counter() >= self._next_connect_s:
                self._connect()
            self._turn()

    def _turn(self) -> None:
        """Waits for the next event and serves it."""
        watched = [self._server, *self._clients]
        if self._plugin is not None:
            watched.append(self._plugin)
        readable, _, _ = select.select(watched, [], [], _WAKE_S)
        for connection in readable:
            if connection is self._server:
                self._accept()
            elif connection is self._plugin:
                self._receive(connection)
            elif connection in self._clients:
                self._hear_client(connection)

    def _connect(self) -> None:
        self._next_connect_s = time.perf_counter() + _RECONNECT_S
        try:
            plugin = _connection(self._plugin_port)
        except OSError:
            if self._phase != REFUSED and self._phase_since_s + _RECONNECT_S < time.perf_counter():
                self._enter(REFUSED)
            return
        self._plugin = plugin
        self._received.clear()
        self.counters = replace(self.counters, connects=self.counters.connects + 1)
        self._enter(SILENT)

    def _receive(self, plugin: socket.socket) -> None:
        try:
            chunk = plugin.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._lose(CLOSED)
            return
        arrived_s = time.perf_counter()
        self._received += chunk
        while len(self._received) >= MESSAGE_BYTES:
            packed = bytes(self._received[:MESSAGE_BYTES])
            del self._received[:MESSAGE_BYTES]
            if not self._take(packed, arrived_s):
                return

    def _take(self, packed: bytes, arrived_s: float) -> bool:
        """Checks a message, hands it on, and returns whether the next bytes may be one too."""
        message = unpack(packed)
        problem = implausible(message)
        if problem is not None:
            _log.warning("telemetry_misframed", problem=problem)
            self.counters = replace(self.counters, misframes=self.counters.misframes + 1)
            self._lose(MISFRAMED)
            return False
        self.latest = (message, arrived_s)
        self._quiet_s = 0.0
        self.counters = replace(self.counters, messages=self.counters.messages + 1)
        if self._phase != FLOWING:
            self._enter(FLOWING)
        if self._listener is not None:
            self._listener(message, arrived_s)
        for client in list(self._clients):
            self._serve(client, packed)
        return True

    def _lose(self, phase: str) -> None:
        """Gives the connection to the plugin up; the next one starts with a whole message."""
        assert self._plugin is not None
        self._plugin.close()
        self._plugin = None
        if phase == CLOSED and self._phase == FLOWING:
            self.counters = replace(self.counters, drops=self.counters.drops + 1)
        self._enter(phase)

    def _enter(self, phase: str) -> None:
        self._phase, self._phase_since_s = phase, time.perf_counter()

    def _accept(self) -> None:
        try:
            client, _ = self._server.accept()
        except OSError:
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.append(client)

    def _serve(self, client: socket.socket, packed: bytes) -> None:
        """Sends a message on; a client that does not take it whole would be out of step for ever."""
        try:
            if client.send(packed) == len(packed):
                return
        except OSError as error:
            _log.debug("telemetry_client_left", error=str(error))
        self._drop(client)

    def _hear_client(self, client: socket.socket) -> None:
        """Tmrl never says anything, so what there is to read is its end."""
        try:
            said = client.recv(_CHUNK)
        except OSError:
            said = b""
        if not said:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        if client in self._clients:
            self._clients.remove(client)
            client.close()


def _connection(port: int) -> socket.socket:
    """Returns a connection to the plugin.

    Raises:
        OSError: there is none to be had, or the plugin reset it at once.
    """
    plugin = socket.create_connection((_HOST, port), timeout=_CONNECT_S)
    try:
        if plugin.getsockname() == plugin.getpeername():
            raise ConnectionRefusedError("a port on which nobody listens was connected to itself")
        plugin.setblocking(False)
    except OSError:
        plugin.close()
        raise
    return plugin
