"""What happens after a run: greedy laps, a video, pictures, the summary, and what to type next."""

from pathlib import Path
from typing import Any

import structlog

from common.config import Config
from common.errors import ApexManiaError, ConfigError
from deploy.console import RunConsole, clock, lap
from deploy.greedy_laps import find_checkpoint, open_driver
from deploy.launcher import Outcome
from deploy.plots import draw_runs
from deploy.run_folder import RunFolder, write_json
from deploy.run_progress import RunProgress
from deploy.summary import summarise

_log = structlog.get_logger()


def finish_run(
    folder: RunFolder,
    *,
    config: Config,
    progress: RunProgress,
    outcome: Outcome,
    wall_s: float,
    console: RunConsole,
) -> dict[str, Any]:
    """Writes everything that a finished run leaves behind and returns its summary.

    An interrupted or failed run gets no greedy laps and no video, because somebody waits.

    Args:
        folder: the run.
        config: its configuration.
        progress: its totals.
        outcome: how it ended.
        wall_s: seconds of all its starts.
        console: tells what is being done.
    """
    greedy = _greedy_laps(folder, config, console) if outcome.complete else {}
    summary = summarise(
        folder,
        config=config,
        progress=progress,
        end_reason=outcome.reason,
        wall_s=wall_s,
        replay=outcome.replay,
        learner_steps=max(outcome.learner_steps, progress.learner_steps),
        greedy=greedy,
    )
    write_json(folder.summary_file, summary)
    draw_runs([folder], out=folder.plots)
    return summary


def closing_text(
    folder: RunFolder, summary: dict[str, Any], *, interrupted: bool, private_redis: bool
) -> str:
    """Returns the last words on the terminal: results and the next command to type."""
    resume = f"apexmania train --resume {_shown(folder.path)}" + (
        "" if private_redis else " --redis URL"
    )
    shown = _shown(folder.path)
    best = summary["best_lap_s"]
    greedy = summary["greedy_evaluation"]
    lines = [
        "",
        f"End: {summary['end_reason']}",
        (
            f"  {summary['env_steps']:,} env steps, {summary['learner_steps']:,} learner steps, "
            f"{summary['episodes']:,} episodes in {clock(summary['wall_s'])}"
        ),
        (
            f"  {summary['finishes']:,} laps finished while exploring, best "
            f"{lap(None if best is None else 1000 * best)}"
        ),
    ]
    if greedy:
        best_greedy = greedy["best_lap_s"]
        lines.append(
            f"  greedy: {greedy['finishes']} of {greedy['episodes']} laps finished, best "
            f"{lap(None if best_greedy is None else 1000 * best_greedy)}"
        )
    lines.append(f"  results in {shown}: summary.json, plots/, videos/, checkpoints/")
    try:
        find_checkpoint(folder.path)
    except ConfigError:
        lines.append(f"Next: {resume}")
    else:
        if not interrupted:
            lines.append(f"Next: apexmania evaluate {shown} --episodes 20")
            lines.append(f"      apexmania record {shown} --out lap.mp4")
        lines.append(f"{'Next:' if interrupted else '     '} {resume}")
    return "\n".join(lines)


def _greedy_laps(folder: RunFolder, config: Config, console: RunConsole) -> dict[str, Any]:
    """Drives and films greedily; a failure here costs the video, never the summary."""
    try:
        driver = open_driver(folder.path)
        console.say(
            f"Driving {config.evaluation.episodes} greedy laps with {driver.folder.name} ..."
        )
        report = driver.evaluate(episodes=config.evaluation.episodes, seed=config.seed)
        driver.record(folder.videos / "best-lap.mp4", lap=report.best_lap)
    except ApexManiaError as error:
        _log.warning("greedy_laps_failed", what=error.what, why=error.why)
        console.say(f"No greedy laps: {error}")
        return {}
    return report.to_dict()


def _shown(path: Path) -> Path:
    """Returns a path as short as it can be typed here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
