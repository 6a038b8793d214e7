"""The replay service as a Ray actor: Ray places and restarts it, and no sample ever passes through."""

import ray

from common.keys import Keys
from replay_server.process import ReplayProcess


class ReplayServiceActor:
    """A thin shell; make it with ``ray.remote(ReplayServiceActor).options(max_concurrency=2)``.

    Args:
        redis_url: Redis.
        run: name of the run.
        host: address of the sampling socket, reachable for the learner.
    """

    def __init__(self, redis_url: str, run: str, host: str = "127.0.0.1") -> None:
        self._process = ReplayProcess(redis_url, Keys(run), host=host)

    @ray.method
    def run(self) -> None:
        """Serves until the run's control says stopped."""
        self._process.run()

    @ray.method
    def stats(self) -> dict[str, object]:
        """Returns the service's counters."""
        return self._process.stats()

    @ray.method
    def stop(self) -> None:
        """Ends ``run`` soon."""
        self._process.stop()
