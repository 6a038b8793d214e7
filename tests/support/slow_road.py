"""Forwards a TCP port and keeps everything that passes waiting: ``python -m tests.support.slow_road``.

The kernel here has no netem, so a long road is this program; what is lost on it the lab's switch loses.
"""

import argparse
import queue
import socket
import threading
import time

_CHUNK = 65536


def main() -> None:
    """Listens on loopback and forwards until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True, help="HOST:PORT")
    parser.add_argument("--delay-s", type=float, required=True, help="each way")
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    listener = socket.create_server(("127.0.0.1", options.port))
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection((host, int(port)), timeout=10)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        for source, sink in ((near, far), (far, near)):
            _carry(source, sink, options.delay_s)


def _carry(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    """Carries one direction by two threads: one takes in, one lets out when it is time."""
    road: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def take_in() -> None:
        data = b"?"
        while data:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            road.put((time.monotonic() + delay_s, data))

    def let_out() -> None:
        while True:
            due_s, data = road.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            try:
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                source.close()
                return

    threading.Thread(target=take_in, daemon=True).start()
    threading.Thread(target=let_out, daemon=True).start()


if __name__ == "__main__":
    main()
