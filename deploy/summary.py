"""The results of a run as ``summary.json`` has them."""

from itertools import groupby
from typing import Any

from common.config import Config
from common.critical import critical_changes
from deploy.health.recorded_health import read_health
from deploy.run_files import read_rows
from deploy.run_folder import RunFolder
from deploy.run_progress import RunProgress


def summarise(
    folder: RunFolder,
    *,
    config: Config,
    progress: RunProgress,
    end_reason: str,
    wall_s: float,
    replay: dict[str, Any],
    learner_steps: int,
) -> dict[str, Any]:
    """Returns the summary of a run.

    Args:
        folder: the run.
        config: its configuration.
        progress: its totals.
        end_reason: why it ended, in words.
        wall_s: seconds that all its incarnations took together.
        replay: last figures of the replay.
        learner_steps: where the learner stopped.
    """
    return {
        "run": folder.name,
        "game": config.game.name,
        "track": config.game.track,
        "end_reason": end_reason,
        "wall_s": round(wall_s, 1),
        "env_steps": progress.env_steps,
        "learner_steps": learner_steps,
        "episodes": progress.episodes,
        "finishes": progress.finishes,
        "faults": dict(sorted(progress.faults.items())),
        "best_lap_s": in_seconds(progress.best_lap_ms),
        "best_lap_episode": progress.best_lap_episode,
        "greedy_evaluation": greedy_figures(progress.best_evaluation),
        "updates_per_s": updates_per_s(list(read_rows(folder.metrics_file))),
        "staleness_mean": progress.staleness_mean,
        "staleness_max": progress.staleness_max,
        "replay": replay,
        "health": read_health(folder, config).as_values(),
        "critical_changes": [
            {"key": key, "proven": proven, "chosen": chosen}
            for key, proven, chosen in critical_changes(config)
        ],
    }


def greedy_figures(row: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the figures of a greedy evaluation that people compare, lap times in seconds."""
    if not row:
        return None
    return {
        "param_version": row.get("param_version"),
        "episodes": row["episodes"],
        "finishes": row["finishes"],
        "finish_rate": row["finish_rate"],
        "mean_lap_s": in_seconds(row.get("lap_mean_ms")),
        "median_lap_s": in_seconds(row.get("lap_median_ms")),
        "best_lap_s": in_seconds(row.get("lap_best_ms")),
        "return_mean": row.get("return_mean"),
    }


def updates_per_s(rows: list[dict[str, Any]]) -> float | None:
    """Returns the learner's mean pace while it ran, starts and pauses between starts left out.

    Args:
        rows: rows of learner metrics.
    """
    steps, seconds = 0, 0.0
    for _, group in groupby(rows, key=lambda row: row.get("learner_incarnation")):
        incarnation = list(group)
        first, last = incarnation[0], incarnation[-1]
        steps += last["learner_steps"] - first["learner_steps"]
        seconds += last["time"] - first["time"]
    return round(steps / seconds, 2) if seconds > 0 else None


def in_seconds(time_ms: float | None) -> float | None:
    """Returns a lap time in seconds."""
    return None if time_ms is None else round(time_ms / 1000, 3)
