"""The launcher's own log: JSON lines in the run folder, so that the terminal stays readable."""

from pathlib import Path

import structlog


def log_to(file: Path) -> None:
    """Sends the log of this process to a file.

    Args:
        file: grows over all starts of a run.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=file.open("a", encoding="utf-8")),
        cache_logger_on_first_use=False,
    )
