"""Which run a head serves, as a machine that joins sees it, and when that changes."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import structlog

from actors.poller import Poller
from common.contract import Contract
from common.errors import CorruptError
from common.keys import Keys
from replay_server.announcement import current_run, get_reward_lines
from replay_server.connection import OUTAGES, connect
from replay_server.contract_store import get_contract
from replay_server.control import Control
from replay_server.shut_out import PATIENCE_S, REFUSED, ShutOut, refuses

_PERIOD_S = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServedRun:
    """A run that takes actors.

    Attributes:
        name: of the run.
        contract: of the run, with its configuration.
        lines: files of its reward lines.
    """

    name: str
    contract: Contract
    lines: dict[str, bytes]


class Head:
    """The head as an actor reaches it.

    Args:
        url: of its Redis.
        name: shown in its client list.
        patience_s: how long one that does not take our password is asked again while we wait for a run.
    """

    def __init__(self, url: str, *, name: str, patience_s: float = PATIENCE_S) -> None:
        self._url = url
        self._patience_s = patience_s
        self._redis = connect(url, name=name)

    def close(self) -> None:
        """Closes the connection."""
        self._redis.close()

    def served(self) -> ServedRun | None:
        """Returns the run that takes actors now, None where there is none.

        Raises:
            CorruptError: its contract or its reward lines are damaged.
            redis.RedisError: the head is away or refuses.
        """
        name = current_run(self._redis)
        if name is None or Control(self._redis, Keys(name)).state() != "running":
            return None
        contract = get_contract(self._redis, Keys(name))
        if contract is None:
            return None
        return ServedRun(name, contract, get_reward_lines(self._redis, Keys(name)))

    def still_serves(self, run: ServedRun) -> bool:
        """Returns whether the head goes on with a run under the same contract, as far as it can say now."""
        name = current_run(self._redis)
        if name is None:
            return True
        if name != run.name:
            return False
        try:
            contract = get_contract(self._redis, Keys(name))
        except CorruptError as error:
            _log.warning("contract_corrupt", run=name, why=error.why)
            return True
        return contract is None or contract.fingerprint == run.contract.fingerprint

    def serves_none(self) -> bool:
        """Returns whether the head answers and names no run, as one does that starts."""
        return current_run(self._redis) is None

    def wait_for_run(self, stop: threading.Event, say: Callable[[str], None]) -> ServedRun | None:
        """Waits until the head serves a run, however long that takes.

        Args:
            stop: ends the wait.
            say: told what is waited for.

        Returns:
            The run, or None when stopped first.

        Raises:
            MismatchError: the head refuses this actor.
            CorruptError: the contract or the reward lines are damaged.
        """
        shut_out = ShutOut(self._url, password_patience_s=self._patience_s)
        while not stop.is_set():
            try:
                run = self.served()
            except (*OUTAGES, *REFUSED) as error:
                ending = shut_out.note(error)
                if ending is not None:
                    raise ending from error
                if isinstance(error, REFUSED):
                    say(
                        f"waiting: the head does not let this actor in ({error}); that may change for "
                        f"{self._patience_s:.0f} s, while the head starts or a person lets it in again"
                    )
                elif refuses(error):
                    say(
                        f"waiting: the certificates of this actor and the head do not fit ({error}); "
                        f"asking again for {PATIENCE_S:.0f} s"
                    )
                else:
                    say(f"waiting: the head does not answer ({error})")
            else:
                shut_out.clear()
                if run is not None:
                    return run
                say("waiting: the head serves no run now")
            stop.wait(_PERIOD_S)
        return None


class RunWatch:
    """Ends an actor's drive when the head goes over to another run, or to another contract.

    Args:
        url: of the head's Redis.
        run: what is driven.
        leave: set when the head has gone over.
    """

    def __init__(self, url: str, run: ServedRun, leave: threading.Event) -> None:
        self._head = Head(url, name="run-watch")
        self._run = run
        self._leave = leave
        self._poller = Poller("run-watch", self._look, period_s=_PERIOD_S, shut_out=ShutOut(url))

    @property
    def reachable(self) -> bool:
        """Whether the head answered last."""
        return self._poller.reachable

    @property
    def refusal(self) -> str:
        """What the head said where it answered last and refused us, else empty."""
        return self._poller.refusal

    def __enter__(self) -> Self:
        """Starts to watch."""
        self._poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops watching."""
        self._poller.close()
        with contextlib.suppress(*OUTAGES):
            self._head.close()

    def _look(self) -> None:
        if not self._head.still_serves(self._run):
            self._leave.set()
