"""Options that several commands share, so that they read and behave alike."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

ConfigFile = Annotated[
    Path | None, Parameter(name="--config", help="YAML file with the keys to change.")
]
Preset = Annotated[
    str | None,
    Parameter(name="--preset", help="Starting point: proven, quickstart, failed-run or breakout."),
]
Settings = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        help="One key to change, as key=value; may be repeated, the last one wins.",
        show_default=False,
    ),
]
Json = Annotated[
    bool, Parameter(name="--json", help="Print JSON instead of text.", show_default=False)
]
Attempts = Annotated[
    int, Parameter(help="Attempts, at least one.", validator=validators.Number(gte=1))
]
Seed = Annotated[
    int, Parameter(help="Seed of the starts, not negative.", validator=validators.Number(gte=0))
]
RunsDir = Annotated[Path, Parameter(name="--runs-dir", help="Folder that holds the runs.")]
