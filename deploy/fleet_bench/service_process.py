"""The replay service of a bench, in a process that holds nothing else."""

import logging
import multiprocessing
import threading

from common.keys import Keys
from deploy.command_logging import log_to_stderr
from deploy.fleet_bench.bench_contract import RUN
from replay_server.process import ReplayProcess


def serve_replay(url: str) -> None:
    """Serves the bench's run until its control says stopped or the bench is gone.

    Args:
        url: Redis as the replay service.
    """
    process = ReplayProcess(url, Keys(RUN))
    threading.Thread(target=_stop_with_the_bench, args=(process,), daemon=True).start()
    with log_to_stderr(logging.ERROR):
        process.run()


def _stop_with_the_bench(process: ReplayProcess) -> None:
    """Ends a service whose bench was killed and could not tell it."""
    bench = multiprocessing.parent_process()
    if bench is not None:
        bench.join()
        process.stop()
