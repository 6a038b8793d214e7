"""Takes back the folder of a run that never began."""

import contextlib
import shutil
from collections.abc import Iterator

from deploy.run_folder import RunFolder, all_runs, point_latest
from deploy.run_name import NameTakenError


@contextlib.contextmanager
def discarded_if_taken(folder: RunFolder) -> Iterator[None]:
    """Removes a run's folder where another start was faster to take its name on a shared Redis.

    Args:
        folder: the run, before anything is written into it; one that holds somebody's files is kept.
    """
    was_empty = not any(folder.path.iterdir())
    try:
        yield
    except NameTakenError:
        if was_empty:
            _discard(folder)
        raise


def _discard(folder: RunFolder) -> None:
    """Removes the folder, and points ``latest`` at the newest run that is left."""
    runs = folder.path.parent
    shutil.rmtree(folder.path)
    latest = runs / "latest"
    if not latest.is_symlink() or latest.exists():
        return
    left = all_runs(runs)
    if left:
        point_latest(max(left, key=lambda run: run.config_file.stat().st_mtime))
    else:
        latest.unlink()
