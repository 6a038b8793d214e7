"""The log of a process that talks to a person: JSON lines in a file, so that the terminal stays readable."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import structlog


@contextlib.contextmanager
def log_to(file: Path, *, level: int = logging.NOTSET) -> Iterator[None]:
    """Sends the log of this process to a file while the context lasts.

    Args:
        file: grows over all starts of a run.
        level: what is less severe is dropped.
    """
    before = structlog.get_config()
    with file.open("a", encoding="utf-8") as stream:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(level),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.dict_tracebacks,
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory(file=stream),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)
