"""``apexmania plot``: pictures of one or several runs."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from common.errors import ConfigError
from deploy.run_folder import open_run


def plot(
    runs: Annotated[tuple[Path, ...], Parameter(help="Run folders.", show_default=False)],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder for the pictures; a single run has its own.")
    ] = None,
) -> None:
    """Prints the files that it drew."""
    from deploy.plots import draw_runs  # noqa: PLC0415 - matplotlib only when it draws

    folders = [open_run(path) for path in runs]
    if not folders:
        raise ConfigError("plot was given no run.", "it draws runs", "apexmania plot runs/latest")
    target = out or (folders[0].plots if len(folders) == 1 else Path("plots"))
    files = draw_runs(folders, out=target)
    if not files:
        sys.stderr.write("There is nothing to draw yet.\n")
    for file in files:
        print(file)
