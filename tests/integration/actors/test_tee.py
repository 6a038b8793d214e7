"""The tee between a plugin and tmrl, over real sockets."""

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from actors.game_contract import GameFaultError
from actors.trackmania.tee import TelemetryTee
from actors.trackmania.telemetry import MESSAGE_BYTES, Telemetry, pack, unpack
from actors.trackmania.telemetry_watch import DEAD_INPUT_S, TelemetryWatch
from tests.support.actor_run import until

MESSAGE = Telemetry(20.0, 5.0, 1.0, 2.0, 3.0, 0.0, 1.0, 0.0, 0.0, 2.0, 4000.0)


class Plugin:
    """A plugin as the game has it: one listener, one client."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(5.0)
        self.port = self.listener.getsockname()[1]
        self.client: socket.socket | None = None

    def accept(self) -> None:
        self.client, _ = self.listener.accept()

    def send(self, data: bytes) -> None:
        assert self.client is not None
        self.client.sendall(data)

    def drop(self) -> None:
        assert self.client is not None
        self.client.close()

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
        self.listener.close()


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    plugin = Plugin()
    yield plugin
    plugin.close()


@pytest.fixture
def tee(plugin: Plugin) -> Iterator[TelemetryTee]:
    tee = TelemetryTee(plugin.port)
    yield tee
    tee.close()


def read(client: socket.socket, messages: int) -> list[Telemetry]:
    client.settimeout(5.0)
    data = b""
    while len(data) < messages * MESSAGE_BYTES:
        data += client.recv(4096)
    assert len(data) == messages * MESSAGE_BYTES
    return [unpack(data[at : at + MESSAGE_BYTES]) for at in range(0, len(data), MESSAGE_BYTES)]


def test_messages_pass_through_and_are_stamped(plugin: Plugin, tee: TelemetryTee) -> None:
    plugin.accept()
    until(lambda: tee.state == "silent")
    with socket.create_connection(("127.0.0.1", tee.port)) as client:
        time.sleep(0.1)
        began_s = time.perf_counter()
        second = MESSAGE._replace(x=9.0)
        plugin.send(pack(MESSAGE) + pack(second)[:10])
        plugin.send(pack(second)[10:])
        assert read(client, 2) == [MESSAGE, second]
    assert tee.state == "flowing"
    assert tee.latest is not None
    assert tee.latest[0] == second
    assert began_s < tee.latest[1] < began_s + 1.0


def test_silence_after_messages_is_a_stall(plugin: Plugin, tee: TelemetryTee) -> None:
    plugin.accept()
    plugin.send(pack(MESSAGE))
    until(lambda: tee.state == "flowing")
    until(lambda: tee.state == "stalled", timeout_s=2.0)
    assert tee.since_s > 0.8
    plugin.send(pack(MESSAGE))
    until(lambda: tee.state == "flowing")


def test_it_comes_back_when_the_game_does(tee: TelemetryTee, plugin: Plugin) -> None:
    plugin.accept()
    plugin.send(pack(MESSAGE))
    until(lambda: tee.state == "flowing")
    with socket.create_connection(("127.0.0.1", tee.port)) as client:
        plugin.close()
        until(lambda: tee.state == "closed")
        until(lambda: tee.state == "refused")
        again = Plugin(plugin.port)
        again.accept()
        again.send(pack(MESSAGE._replace(x=7.0)))
        assert read(client, 1)[0].x == 7.0  # tmrl's own connection never noticed
        again.close()
    assert tee.counters.connects >= 2
    assert tee.counters.drops == 1


def test_a_message_too_short_is_noticed_and_the_next_connection_is_whole(
    plugin: Plugin, tee: TelemetryTee
) -> None:
    plugin.accept()
    with socket.create_connection(("127.0.0.1", tee.port)) as client:
        time.sleep(0.1)
        plugin.send(pack(MESSAGE))
        plugin.send(pack(MESSAGE)[:-1])
        plugin.send(pack(MESSAGE) * 3)
        until(lambda: tee.counters.misframes == 1)
        plugin.drop()
        plugin.accept()
        plugin.send(pack(MESSAGE._replace(x=8.0)))
        until(lambda: tee.state == "flowing")
        client.settimeout(5.0)
        seen = b""
        while len(seen) % MESSAGE_BYTES or not seen.endswith(pack(MESSAGE._replace(x=8.0))):
            seen += client.recv(4096)
    assert tee.counters.drops == 0


def test_the_watch_tells_a_fault_from_what_was_before(plugin: Plugin, tee: TelemetryTee) -> None:
    watch = TelemetryWatch()
    watch.begin(tee)
    with pytest.raises(GameFaultError, match=r"not_on_map|telemetry_refused"):
        watch.check(tee)
    plugin.accept()
    plugin.send(pack(MESSAGE))
    until(lambda: tee.state == "flowing")
    watch.check(tee)
    plugin.drop()
    plugin.accept()
    plugin.send(pack(MESSAGE))
    until(lambda: tee.counters.messages == 2)
    with pytest.raises(GameFaultError, match="telemetry_closed"):
        watch.check(tee)
    watch.begin(tee)
    watch.check(tee)


def test_a_car_that_jumps_was_moved_by_somebody_else(tee: TelemetryTee) -> None:
    watch = TelemetryWatch()
    watch.feed(MESSAGE, 1.0)
    watch.feed(MESSAGE._replace(x=11.0), 1.2)  # 10 m at 20 m/s in a game of five pictures a second
    watch.check_race((1.0, 0.0, 0.0), tee)
    watch.feed(MESSAGE._replace(x=300.0), 1.22)
    with pytest.raises(GameFaultError, match="car_jumped"):
        watch.check_race((1.0, 0.0, 0.0), tee)
    watch.begin_race()
    watch.check_race((1.0, 0.0, 0.0), tee)


def test_controls_that_do_not_arrive_are_noticed(plugin: Plugin, tee: TelemetryTee) -> None:
    watch = TelemetryWatch()
    plugin.accept()
    plugin.send(pack(MESSAGE._replace(gas=0.0)))
    until(lambda: tee.latest is not None)
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < DEAD_INPUT_S + 0.2:
        watch.check_race((0.0, 0.0, 0.0), tee)  # nothing was asked of it
        time.sleep(0.05)
    began_s = time.perf_counter()

    def steps() -> None:
        while True:  # fewer steps a second than usual, and no longer until it is told
            watch.check_race((1.0, 0.0, 0.0), tee)
            time.sleep(0.1)

    with pytest.raises(GameFaultError, match="inputs_dead"):
        steps()
    assert DEAD_INPUT_S <= time.perf_counter() - began_s < DEAD_INPUT_S + 1.0


def test_a_pause_between_two_steps_is_not_held_against_the_gamepad(
    plugin: Plugin, tee: TelemetryTee
) -> None:
    watch = TelemetryWatch()
    plugin.accept()
    plugin.send(pack(MESSAGE._replace(gas=0.0)))
    until(lambda: tee.latest is not None)
    watch.check_race((1.0, 0.0, 0.0), tee)
    time.sleep(DEAD_INPUT_S + 0.1)
    watch.check_race((1.0, 0.0, 0.0), tee)


def test_a_tee_that_died_says_so(plugin: Plugin) -> None:
    def fails(_: Telemetry, __: float) -> None:
        raise ValueError("a listener of ours went wrong")

    tee = TelemetryTee(plugin.port, listener=fails)
    watch = TelemetryWatch()
    plugin.accept()
    plugin.send(pack(MESSAGE))
    until(lambda: tee.state == "broken")
    with pytest.raises(GameFaultError, match="tee_died"):
        watch.check(tee)
    tee.close()


def test_a_plugin_that_resets_every_connection_at_once_does_not_end_the_tee(plugin: Plugin) -> None:
    done = threading.Event()

    def reset_all() -> None:
        while not done.is_set():
            client, _ = plugin.listener.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    tee = TelemetryTee(plugin.port)
    resetting = threading.Thread(target=reset_all)
    resetting.start()
    time.sleep(1.5)
    assert tee.state in {"refused", "silent", "closed"}
    done.set()
    resetting.join()
    plugin.accept()
    plugin.send(pack(MESSAGE))
    until(lambda: tee.state == "flowing")
    tee.close()
