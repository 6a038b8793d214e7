"""The replay service as a process: from a Redis address and a run's name to a served socket."""

import threading

import structlog

from common.keys import Keys
from replay_server.connection import OUTAGES, check_server, connect, retrying
from replay_server.contract_store import get_contract
from replay_server.control import Control
from replay_server.replay_heart import ReplayHeart
from replay_server.server import ReplayServer
from replay_server.service import ReplayService

CONTROL_PERIOD_S = 0.5
_log = structlog.get_logger()


class ReplayProcess:
    """Serves a run from its contract until its control says stopped.

    Crash-only: everything it needs after a restart lies in Redis.

    Args:
        redis_url: Redis.
        keys: keyspace of the run.
        host: address of the sampling socket, reachable for the learner.
        port: 0 lets the system choose.
    """

    def __init__(
        self, redis_url: str, keys: Keys, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._url = redis_url
        self._keys = keys
        self._host, self._port = host, port
        self._stop = threading.Event()
        self._service: ReplayService | None = None

    def run(self) -> None:
        """Waits for the run's contract, then serves until stopped.

        Raises:
            ConfigError: the limiter's settings would deadlock.
            MismatchError: another replay service took this run over, or the password is wrong.
            MachineError: the server is too old or cannot write its append-only file.
            UnreachableError: no Redis answers.
        """
        connection = connect(self._url, name="replay-service")
        check_server(connection, url=self._url, may_be_full=True)
        contract = None
        while contract is None and not self._stop.is_set():
            contract = retrying(lambda: get_contract(connection, self._keys), stop=self._stop)
            self._stop.wait(0.0 if contract else 0.1)
        if contract is None:
            return
        known, config = contract, contract.config
        self._service = retrying(
            lambda: ReplayService(
                connection,
                self._keys,
                contract=known,
                replay=config.replay,
                learner=config.learner,
                seed=config.seed,
            ),
            stop=self._stop,
        )
        if self._service is None:
            return
        server = ReplayServer(
            self._service, connection, self._keys, host=self._host, port=self._port
        )
        watcher = threading.Thread(target=self._watch, args=(server,), daemon=True)
        watcher.start()
        heart = ReplayHeart(
            connect(self._url, name="replay-heart"), self._keys, self._service.stats
        )
        heart.start()
        try:
            server.serve()
        finally:
            self._stop.set()
            watcher.join()
            heart.close()

    def stop(self) -> None:
        """Ends ``run`` soon; may be called from any thread."""
        self._stop.set()

    def stats(self) -> dict[str, object]:
        """Returns the service's counters, empty before it started."""
        return {} if self._service is None else self._service.stats()

    def _watch(self, server: ReplayServer) -> None:
        control = Control(connect(self._url, name="replay-control"), self._keys)
        while not self._stop.wait(CONTROL_PERIOD_S):
            try:
                if control.state() == "stopped":
                    break
            except OUTAGES as error:
                _log.debug("control_unknown", error=str(error))
        server.stop()
