"""``apexmania replay``: what the replay of a running run holds."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

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
