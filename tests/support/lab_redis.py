"""A private Redis on a pretended machine; this process reaches it by a socket in the file system."""

import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from tests.support.network_lab import Host
from tests.support.redis_server import RedisServer

PORT = 6390
UNSYNCED_S = 2.0
"""What a power cut takes at most: Redis flushes each second, and lets a slow disk be late by one more."""
_LOOK_S = 0.02


class LabRedis(RedisServer):
    """A server on a host, with a password and an append-only file whose growth is remembered.

    Args:
        folder: its data.
        host: where it runs.
        password: of every client.
        tmpfs_mb: puts the data on a disk of this size (MB) that only the server sees; 0 leaves it be.
        options: further arguments of the server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: Host,
        password: str,
        tmpfs_mb: int = 0,
        options: tuple[str, ...] = (),
    ) -> None:
        socket = folder.parent / "redis.sock"
        needed = ("--unixsocket", str(socket), "--requirepass", password)
        super().__init__(folder, options=(*needed, *options))
        self.host = host
        self.port = PORT
        self.url = f"redis://:{password}@{host.address}:{PORT}/0"
        self.near_url = f"unix://:{password}@{socket}?db=0"
        self._tmpfs_mb = tmpfs_mb
        self._sizes: deque[tuple[float, int]] = deque()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="append-only-size", daemon=True)
        self._watcher.start()

    def _popen(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        bound = [*command, "--bind", self.host.address]
        if self._tmpfs_mb:
            mount = f'mount -t tmpfs -o size={self._tmpfs_mb}m apexlab "$0" && exec "$@"'
            bound = ["unshare", "--mount", "sh", "-c", mount, str(self.folder), *bound]
        return self.host.start(bound, log=self.folder.parent / log.name)

    def forget(self) -> None:
        """Ends the thread that remembers; the server ends with its lab."""
        self._over.set()
        self._watcher.join()

    def inside(self, path: Path) -> Path:
        """Returns the way to a file as the server sees it, also on a disk that only it sees."""
        return Path(f"/proc/{self.pid}/root{path}")

    def power_cut(self) -> int:
        """Ends the server and takes from its file what may not have reached the disk; returns bytes."""
        self.kill()
        now = time.monotonic()
        file = self.append_only_file()
        kept = max((size for at, size in self._sizes if at <= now - UNSYNCED_S), default=0)
        lost = file.stat().st_size - kept
        with file.open("r+b") as stream:
            stream.truncate(kept)
        return lost

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            if not any(self.folder.glob("appendonlydir/*.incr.aof")):
                continue
            now = time.monotonic()
            self._sizes.append((now, self.append_only_file().stat().st_size))
            while self._sizes[0][0] < now - 2 * UNSYNCED_S:
                self._sizes.popleft()
