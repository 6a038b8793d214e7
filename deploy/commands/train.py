"""``apexmania train``: one command from nothing to a trained driver."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deploy.interrupts import INTERRUPTED
from deploy.options import ConfigFile, Json, Preset, Settings


def train(
    *,
    config: ConfigFile = None,
    preset: Preset = None,
    settings: Settings = (),
    game: Annotated[
        str | None,
        Parameter(
            help="sim, standin (TrackMania simulated in a window), tm20 (TrackMania 2020), or "
            "module:factory for any Gymnasium environment."
        ),
    ] = None,
    actors: Annotated[int | None, Parameter(help="Actors on this machine.")] = None,
    run_dir: Annotated[Path | None, Parameter(help="Folder of the new run.")] = None,
    resume: Annotated[Path | None, Parameter(help="Run to continue.")] = None,
    max_env_steps: Annotated[int | None, Parameter(help="End after so many env steps.")] = None,
    max_minutes: Annotated[float | None, Parameter(help="End after so many minutes.")] = None,
    redis: Annotated[
        str | None,
        Parameter(
            help="Your own Redis >= 7, as redis://:PASSWORD@HOST:PORT/0; better in APEXMANIA_REDIS_URL."
        ),
    ] = None,
    listen: Annotated[
        str | None,
        Parameter(
            help="Address of this machine, as ADDRESS[:PORT], on which actors of other machines reach "
            "the run's Redis (port 6390, TLS); none ends it for a resumed run."
        ),
    ] = None,
    insecure_lan: Annotated[
        bool,
        Parameter(
            name="--insecure-lan",
            negative="",
            help="Listen without encryption, for a network where you trust everybody.",
            show_default=False,
        ),
    ] = False,
    mutual_tls: Annotated[
        bool,
        Parameter(
            name="--mutual-tls",
            negative="",
            help="Demand a certificate of every client; join strings bring one.",
            show_default=False,
        ),
    ] = False,
    ray: Annotated[
        str | None,
        Parameter(
            help="Train on a running cluster: HOST:PORT of its head, or auto for this machine's own. "
            "Its machines drive, as many as it has while the run goes on; needs --listen or --redis."
        ),
    ] = None,
    json_output: Json = False,
) -> int:
    """Prints the run's folder, or its summary as JSON."""
    from deploy.redis_address import take_address  # noqa: PLC0415 - Ray only when it trains
    from deploy.train_plan import TrainRequest  # noqa: PLC0415 - same
    from deploy.training import run_training  # noqa: PLC0415 - same

    short = {
        "game.name": game,
        "actors.count": actors,
        "run.max_env_steps": max_env_steps,
        "run.max_minutes": max_minutes,
    }
    request = TrainRequest(
        config=config,
        preset=preset,
        settings=[
            *settings,
            *(f"{key}={value}" for key, value in short.items() if value is not None),
        ],
        run_dir=run_dir,
        resume=resume,
        redis_url=take_address(redis, resume=resume),
        listen=listen,
        insecure_lan=insecure_lan,
        mutual_tls=mutual_tls,
        ray=ray,
    )
    trained = run_training(request)
    print(json.dumps(trained.summary, indent=2) if json_output else trained.folder.path)
    return INTERRUPTED if trained.interrupted else 0
