"""An env child that takes no messages holds nobody up."""

import os
import signal
import sys
import threading
import time

import pytest

from actors.trackmania.env_process import EnvProcess
from common.game_config import GameConfig


@pytest.mark.skipif(sys.platform == "win32", reason="Windows stops no process")
def test_messages_to_a_stopped_child_return_at_once() -> None:
    threads = set(threading.enumerate())
    child = EnvProcess(GameConfig(name="standin"))
    os.kill(child.pid, signal.SIGSTOP)

    def talk() -> None:
        for _ in range(400):  # several times what a pipe holds
            child.send({"kind": "step", "padding": bytes(1000)})

    talker = threading.Thread(target=talk, daemon=True)
    talker.start()
    talker.join(5.0)
    assert not talker.is_alive()
    began_s = time.monotonic()
    child.kill()
    assert time.monotonic() - began_s < 5.0
    assert set(threading.enumerate()) <= threads
