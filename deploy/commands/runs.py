"""``apexmania runs``: list and compare."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from common.errors import CorruptError
from deploy import config_file
from deploy.console import number
from deploy.options import Json, RunsDir
from deploy.run_files import read_progress, read_values
from deploy.run_folder import DEFAULT_RUNS, RunFolder, all_runs, open_run
from deploy.run_record import RunRecord
from deploy.summary import in_seconds

_FIGURES = ("env_steps", "episodes", "finishes", "best_lap_s")
_RESULTS = (
    "env_steps",
    "learner_steps",
    "episodes",
    "finishes",
    "best_lap_s",
    "updates_per_s",
    "wall_s",
    "staleness_mean",
    "end_reason",
)


def list_runs(*, runs_dir: RunsDir = DEFAULT_RUNS, json_output: Json = False) -> None:
    """Prints one line a run, oldest first."""
    rows = [_row(folder) for folder in all_runs(runs_dir)]
    if json_output:
        print(json.dumps(rows, indent=2))
        return
    width = max((len(row["run"]) for row in rows), default=0)
    heads = ("env steps", "episodes", "finishes", "best lap (s)")
    print(f"{'run':<{width}}  " + "  ".join(f"{head:>12}" for head in heads) + "  state")
    for row in rows:
        figures = (
            number(row["env_steps"], 0),
            number(row["episodes"], 0),
            number(row["finishes"], 0),
            number(row["best_lap_s"], 2),
        )
        cells = "  ".join(f"{figure:>12}" for figure in figures)
        print(f"{row['run']:<{width}}  {cells}  {row['state']}")


def compare(
    first: Annotated[Path, Parameter(help="Run folder.")],
    second: Annotated[Path, Parameter(help="Run folder.")],
    /,
    *,
    json_output: Json = False,
) -> None:
    """Prints differing settings and both results."""
    folders = (open_run(first), open_run(second))
    changes = config_file.changed_keys(*(folder.read_config() for folder in folders))
    results = [_results(folder) for folder in folders]
    if json_output:
        values: dict[str, Any] = {
            "runs": [folder.name for folder in folders],
            "settings": [{"key": key, "first": a, "second": b} for key, a, b in changes],
            "results": results,
        }
        print(json.dumps(values, indent=2))
        return
    table = Table(box=None, header_style="bold")
    table.add_column("")
    for folder in folders:
        table.add_column(folder.name, justify="right")
    for key, one, other in changes:
        table.add_row(key, str(one), str(other))
    table.add_section()
    for name in results[0]:
        table.add_row(name, *[_text(result[name]) for result in results])
    Console(soft_wrap=True).print(table)


def _row(folder: RunFolder) -> dict[str, Any]:
    try:
        starts = RunRecord.open(folder).values.get("starts") or [{}]
        state = "running" if folder.in_use() else str(starts[-1].get("end_reason", "killed"))
        progress = read_progress(folder)
    except CorruptError as error:
        return {"run": folder.name, "state": f"damaged: {error.what}"} | dict.fromkeys(_FIGURES)
    return {
        "run": folder.name,
        "state": state,
        "env_steps": progress.env_steps,
        "episodes": progress.episodes,
        "finishes": progress.finishes,
        "best_lap_s": in_seconds(progress.best_lap_ms),
    }


def _results(folder: RunFolder) -> dict[str, Any]:
    summary = read_values(folder.summary_file)
    greedy = summary.get("greedy_evaluation") or {}
    return {
        **{name: summary.get(name) for name in _RESULTS},
        "greedy_finish_rate": greedy.get("finish_rate"),
        "greedy_best_lap_s": greedy.get("best_lap_s"),
    }


def _text(value: object) -> str:
    if isinstance(value, float):
        return number(value, 2)
    return number(value, 0) if isinstance(value, int) else str(value or "-")
