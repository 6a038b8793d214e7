"""``apexmania status``: how a run is doing, or how it ended."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deploy.actor_text import actor_state, game_counts, game_lines
from deploy.console import actor_hearts, evaluation_text, lap, number
from deploy.health.health_text import headline, health_lines
from deploy.health.recorded_health import read_health
from deploy.options import Json
from deploy.refused import Refused
from deploy.run_files import read_progress, read_values
from deploy.run_folder import open_run
from deploy.run_progress import RunProgress
from deploy.run_record import RunRecord

Run = Annotated[Path, Parameter(help="Run folder.")]
CheckOption = Annotated[
    bool, Parameter(name="--check", help="Exit with code 6 where a check is red.")
]
RED = 6


def status(
    run: Run = Path("runs/latest"), /, *, json_output: Json = False, check: CheckOption = False
) -> int:
    """Prints the state of one run."""
    folder = open_run(run)
    record = RunRecord.open(folder)
    progress = read_progress(folder)
    running = folder.in_use()
    if running:
        from deploy.live_run import read_hearts, read_refused  # noqa: PLC0415 - Redis only where one runs

        progress.hearts = read_hearts(folder)
        refused = read_refused(folder)
    else:
        refused = Refused()
    state = "running" if running else _ending(record)
    health = read_health(folder, folder.read_config())
    code = RED if check and health.in_state("red") else 0
    if json_output:
        values = {
            "run": folder.name,
            "state": state,
            "env_steps": progress.env_steps,
            "learner_steps": progress.learner_steps,
            "episodes": progress.episodes,
            "finishes": progress.finishes,
            "best_lap_s": None if progress.best_lap_ms is None else progress.best_lap_ms / 1000,
            "metrics": progress.metrics,
            "evaluation": progress.evaluation,
            "health": health.as_values(),
            "refused": dict(refused.by_kind),
            "banned": dict(refused.banned),
            "hearts": {
                name: {key: value for key, value in heart.items() if not isinstance(value, bytes)}
                for name, heart in progress.hearts.items()
            },
            "summary": read_values(folder.summary_file),
        }
        print(json.dumps(values, indent=2))
        return code
    metrics = progress.metrics
    for name, text in (
        ("run", str(folder.path)),
        ("state", state),
        ("env steps", f"{progress.env_steps:,}"),
        ("learner steps", f"{progress.learner_steps:,}"),
        ("episodes", f"{progress.episodes:,}, {progress.finishes:,} finished"),
        ("best lap", lap(progress.best_lap_ms)),
        ("reward", f"{number(progress.recent_return, 2)} in the last episodes"),
        ("loss", number(metrics.get("loss"), 4)),
        ("Q", number(metrics.get("q_mean"), 3)),
        ("epsilon", number(metrics.get("epsilon"), 4)),
        ("evaluation", evaluation_text(progress.evaluation)),
    ):
        print(f"{name:<14} {text}")
    for line in fleet_lines(progress, real_time=folder.read_config().game.real_time):
        print(line)
    for name, text in refused.lines():
        print(f"{name:<14} {text}")
    print(f"{'health':<14} {headline(health)}")
    for line in health_lines(health):
        print(f"  {line}")
    return code


def fleet_lines(progress: RunProgress, *, real_time: bool) -> Iterator[str]:
    """Yields what there is to say of each actor.

    Args:
        progress: with the heartbeats.
        real_time: whether the game is one, so that its faults are told also where there is none.
    """
    for name, heart in sorted(actor_hearts(progress).items()):
        yield f"{name:<14} {number(heart.get('fps'), 0)} env steps/s, {actor_state(heart)}"
        if real_time or game_counts(heart):
            yield from (f"{'':<14} {line}" for line in game_lines(heart))


def _ending(record: RunRecord) -> str:
    starts = record.values.get("starts", [])
    reason = starts[-1].get("end_reason") if starts else None
    return f"ended: {reason}" if reason else "ended without a summary (killed?)"
