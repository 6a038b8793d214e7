"""The replay service of a bench, in a process that holds nothing else."""

import logging

from common.keys import Keys
from deploy.command_logging import log_to_stderr
from deploy.fleet_bench.bench_contract import RUN
from replay_server.process import ReplayProcess


def serve_replay(url: str) -> None:
    """Serves the bench's run until its control says stopped.

    Args:
        url: Redis as the replay service.
    """
    with log_to_stderr(logging.ERROR):
        ReplayProcess(url, Keys(RUN)).run()
