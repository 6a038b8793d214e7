"""What happens after a run: greedy laps, a video, pictures, the summary, and what to type next."""

from pathlib import Path
from typing import Any

import structlog

from common.config import Config
from common.errors import ApexManiaError, ConfigError
from deploy.console import RunConsole, clock, lap
from deploy.greedy_laps import find_checkpoint, open_driver
from deploy.interrupts import Interrupts
from deploy.launcher import Outcome
from deploy.plots import draw_runs
from deploy.run_folder import RunFolder, write_json
from deploy.run_progress import RunProgress
from deploy.summary import greedy_figures, summarise

_log = structlog.get_logger()
_REAL_TIME_LAPS = 3


def finish_run(
    folder: RunFolder,
    *,
    config: Config,
    progress: RunProgress,
    outcome: Outcome,
    wall_s: float,
    console: RunConsole,
    interrupts: Interrupts,
) -> dict[str, Any]:
    """Writes everything that a finished run leaves behind and returns its summary.

    Summary and plots are written before the greedy laps, which only complete them. An interrupted
    or failed run gets no greedy laps and no video, because somebody waits; nor does a run of a game
    that a person starts, because it may run on another machine.

    Args:
        folder: the run.
        config: its configuration.
        progress: its totals.
        outcome: how it ended.
        wall_s: seconds of all its starts.
        console: tells what is being done.
        interrupts: one request to stop during the greedy laps skips them.
    """
    summary = summarise(
        folder,
        config=config,
        progress=progress,
        end_reason=outcome.reason,
        wall_s=wall_s,
        replay=outcome.replay,
        learner_steps=max(outcome.learner_steps, progress.learner_steps),
    )
    write_json(folder.summary_file, summary)
    draw_runs([folder], out=folder.plots)
    if outcome.complete and not interrupts.asked and config.game.runs_by_itself:
        greedy = _greedy_laps(folder, config, console, interrupts)
        if greedy:
            summary["greedy_evaluation"] = greedy_figures(greedy)
            write_json(folder.summary_file, summary)
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
            f"{lap(None if best_greedy is None else 1000 * best_greedy)}, mean return "
            f"{greedy['return_mean']:.1f}"
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


def _greedy_laps(
    folder: RunFolder, config: Config, console: RunConsole, interrupts: Interrupts
) -> dict[str, Any]:
    """Drives and films greedily, as far as it comes: a failure to film leaves the laps."""
    figures: dict[str, Any] = {}
    laps = config.evaluation.episodes
    if config.game.real_time:
        laps = min(laps, _REAL_TIME_LAPS)
    try:
        with interrupts.cutting_short():
            driver = open_driver(folder.path)
            console.say(
                f"Driving {laps} greedy laps with {driver.folder.name} (Ctrl-C skips them) ..."
            )
            report = driver.evaluate(episodes=laps, seed=config.seed, film=True)
            figures = report.to_dict()
            driver.record(folder.videos / "best-lap.mp4", lap=report.best_lap)
    except (ApexManiaError, OSError, RuntimeError) as error:
        _log.warning("greedy_laps_failed", error=str(error), kind=type(error).__name__)
        console.say(f"No {'video' if figures else 'greedy laps'}: {error}")
    except KeyboardInterrupt:
        _log.info("greedy_laps_skipped")
        console.say("Greedy laps skipped.")
    return figures


def _shown(path: Path) -> Path:
    """Returns a path as short as it can be typed here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
