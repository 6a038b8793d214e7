"""``apexmania replay``: what the replay of a running run holds, and what a fleet would cost."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from common.errors import ApexManiaError, ConfigError
from deploy.inspection_text import inspection_text
from deploy.options import Json
from deploy.run_folder import open_run


def inspect(
    run: Annotated[Path, Parameter(help="Run folder.")] = Path("runs/latest"),
    /,
    *,
    redis: Annotated[
        str | None,
        Parameter(help="Its Redis, where it is not the run's own; or APEXMANIA_REDIS_URL."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Prints streams, actors, heartbeats and memory."""
    from deploy import live_run  # noqa: PLC0415 - Redis only when it is asked
    from deploy.redis_address import given_address  # noqa: PLC0415 - same

    values = live_run.inspect(open_run(run), url=given_address(redis, resume=run))
    if json_output:
        print(json.dumps(values, indent=2))
        return
    print(inspection_text(values))


def bench(
    *,
    actors: Annotated[
        str,
        Parameter(
            help="Fleet to reach, measured on the way from 10 on; or several, as 10,100,1000. A cost "
            "needs two fleets at least, a verdict on whether it stays flat three."
        ),
    ] = "1000",
    seconds: Annotated[
        float, Parameter(help="Seconds of each measurement.", validator=validators.Number(gte=1))
    ] = 15.0,
    frames_per_second: Annotated[
        float,
        Parameter(help="Env steps a second of each actor.", validator=validators.Number(gt=0)),
    ] = 20.0,
    plot: Annotated[Path | None, Parameter(help="PNG to draw.")] = None,
    json_output: Json = False,
) -> None:
    """Prints the costs of each fleet and of one more actor.

    Raises:
        ApexManiaError: transitions were lost.
    """
    from deploy.command_logging import log_to_stderr  # noqa: PLC0415 - help needs none of it
    from deploy.fleet_bench import bench_text  # noqa: PLC0415 - same
    from deploy.fleet_bench.added_cost import added_costs  # noqa: PLC0415 - same
    from deploy.fleet_bench.bench import BenchStep, fleet_sizes, run_bench  # noqa: PLC0415 - same
    from deploy.fleet_bench.bench_picture import draw_bench  # noqa: PLC0415 - same

    sizes = fleet_sizes(_counts(actors))
    if plot is not None and not plot.resolve().parent.is_dir():
        raise ConfigError(
            f"There is no folder {plot.parent}.", "--plot writes into it", f"mkdir -p {plot.parent}"
        )

    def tell(step: BenchStep) -> None:
        if not json_output:
            print(bench_text.step_line(step), flush=True)

    if not json_output:
        print(bench_text.heading(frames_per_second), flush=True)
    with log_to_stderr(logging.ERROR):
        report = run_bench(sizes, seconds=seconds, frames_per_second=frames_per_second, tell=tell)
    if plot is not None:
        draw_bench(report, plot)
    if json_output:
        added = [asdict(cost) for cost in added_costs(report.steps)]
        print(json.dumps({**report.to_dict(), "added_actor": added}, indent=2))
    else:
        print(bench_text.conclusion(report))
    if not report.nothing_lost:
        raise ApexManiaError(
            "The log, the index and the frame store disagree.",
            "transitions that Redis acknowledged did not all arrive within a minute",
            "repeat it on a machine with less load, and report it if it stays",
        )


def _counts(text: str) -> list[int]:
    counts = [int(word) if word.isdecimal() else 0 for word in text.split(",")]
    if min(counts) < 1:
        raise ConfigError(
            f"--actors {text!r} is no number of actors.",
            "it is one whole number, or several with commas between",
            "apexmania replay bench --actors 10,100",
        )
    return counts
