"""A poller tells a server that refuses it from one that is away."""

import time

import redis

from actors.poller import Poller
from replay_server.shut_out import ShutOut


def test_a_refusal_is_kept_until_the_server_lets_us_in_again() -> None:
    answers: list[Exception | None] = [None]

    def errand() -> None:
        if answers[0] is not None:
            raise answers[0]

    def until(*, reachable: bool, refusal: str) -> None:
        deadline = time.monotonic() + 10.0
        while (poller.reachable, poller.refusal) != (reachable, refusal):
            assert time.monotonic() < deadline, (poller.reachable, poller.refusal)
            time.sleep(0.01)

    poller = Poller("test", errand, period_s=0.01, shut_out=ShutOut("redis://127.0.0.1:1"))
    poller.start()
    try:
        until(reachable=True, refusal="")
        answers[0] = redis.ConnectionError("gone")
        until(reachable=False, refusal="")
        answers[0] = redis.AuthenticationError("user is disabled")
        until(reachable=False, refusal="user is disabled")
        answers[0] = None
        until(reachable=True, refusal="")
    finally:
        poller.close()
