"""Changes to a cluster's file that are kept only if what they were made for can be done."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.cluster.cluster_file import (
    ClusterFile,
    read_cluster_file,
    with_worker,
    without_worker,
)


@contextmanager
def added(path: Path, address: str) -> Iterator[ClusterFile]:
    """Adds a worker for a block, and for good if the block ends well.

    Raises:
        ConfigError: the address is none, or is in the file.
    """
    with _changed(path, with_worker(path, address)) as file:
        yield file


@contextmanager
def removed(path: Path, address: str) -> Iterator[ClusterFile]:
    """Takes a worker off for a block, and for good if the block ends well.

    Raises:
        ConfigError: it is no worker of the file.
    """
    with _changed(path, without_worker(path, address)) as file:
        yield file


@contextmanager
def _changed(path: Path, text: str) -> Iterator[ClusterFile]:
    """Tries a new text beside the file; it takes the file's place at the end."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(path.stat().st_mode & 0o777)
    try:
        read_cluster_file(beside)
        old = path.read_text(encoding="utf-8")
        beside.replace(path)
        try:
            yield read_cluster_file(path)
        except BaseException:
            path.write_text(old, encoding="utf-8")
            raise
    finally:
        beside.unlink(missing_ok=True)
