"""``apexmania replay``: what the replay of a running run holds."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

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
    used, limit = values["used_memory_bytes"], values["max_memory_bytes"]
    print(f"run      {values['run']}")
    print(f"redis    {values['redis']}, {(used or 0) / 1e6:,.1f} of {(limit or 0) / 1e6:,.0f} MB")
    for name, count in values["entries"].items():
        print(f"stream   {name:<12} {count:>9,} entries")
    for name, actor in values["actors"].items():
        megabytes = (actor["frames_bytes"] or 0) / 1e6
        print(
            f"actor    {name:<12} {actor['segments']:>9,} segments, {megabytes:,.1f} MB of frames"
        )
    for name, heart in values["hearts"].items():
        facts = " ".join(f"{key}={value}" for key, value in heart.items())
        print(f"alive    {name:<12} {facts}")
