"""Draws a run, or several on top of each other, as PNG pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.output_folder import make_output_folder
from deploy.run_files import read_rows
from deploy.run_folder import RunFolder

Rows = list[dict[str, Any]]
_WINDOW_EPISODES = 50
STYLE: Any = {
    "figure.dpi": 110,
    "figure.figsize": (9.0, 4.8),
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "font.size": 10.5,
    "lines.linewidth": 1.8,
}
COLOURS = ("#0b7a75", "#d1495b", "#30638e", "#edae49", "#6a4c93", "#3d3d3d")


def draw_runs(folders: Sequence[RunFolder], *, out: Path) -> list[Path]:
    """Draws all pictures that the runs have data for, and returns their files.

    Args:
        folders: the runs, drawn in one picture each with a colour of its own.
        out: folder that takes the pictures.

    Raises:
        ConfigError: ``out`` cannot be a folder.
        CorruptError: a run's rows are damaged.
    """
    runs = [_Rows(folder) for folder in folders]
    make_output_folder(out)
    pictures: tuple[tuple[str, str, Callable[[Axes, _Rows, str], None]], ...] = (
        ("q_values", "Q-values of the chosen actions", _draw_q),
        ("loss", "Quantile Huber loss", _draw_loss),
        ("reward", f"Episode reward, with the mean of {_WINDOW_EPISODES} episodes", _draw_reward),
        ("epsilon", "Exploration rate of the fleet", _draw_epsilon),
        ("lap_times", "Lap times while training", _draw_laps),
        ("finish_rate", "Share of laps finished", _draw_finish_rate),
    )
    with mpl.rc_context(STYLE):
        return [
            _draw(name, title, draw, runs, out)
            for name, title, draw in pictures
            if any(run.has(name) for run in runs)
        ]


class _Rows:
    """The rows of one run."""

    def __init__(self, folder: RunFolder) -> None:
        self.name = folder.name
        self.metrics: Rows = list(read_rows(folder.metrics_file))
        self.episodes: Rows = list(read_rows(folder.episodes_file))
        self.evaluations: Rows = list(read_rows(folder.evaluations_file))
        self.laps: Rows = [row for row in self.episodes if row.get("finish_ms") is not None]

    def has(self, picture: str) -> bool:
        """Tells whether there is something to draw."""
        sources = {
            "q_values": self.metrics,
            "loss": self.metrics,
            "epsilon": self.metrics,
            "lap_times": self.laps,
        }
        return bool(sources.get(picture, self.episodes))


def _draw(
    name: str,
    title: str,
    draw: Callable[[Axes, _Rows, str], None],
    runs: Sequence[_Rows],
    out: Path,
) -> Path:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    for index, run in enumerate(runs):
        if run.has(name):
            draw(axes, run, COLOURS[index % len(COLOURS)])
    axes.set_title(title if len(runs) > 1 else f"{title} - {runs[0].name}")
    axes.margins(x=0.01)
    if len(runs) > 1 or len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend()
    file = out / f"{name}.png"
    figure.savefig(file)
    return file


def _column(rows: Rows, key: str) -> npt.NDArray[np.float64]:
    values = [row.get(key) for row in rows]
    return np.array([np.nan if value is None else float(value) for value in values])


def _draw_q(axes: Axes, run: _Rows, colour: str) -> None:
    steps, mean, std = (_column(run.metrics, key) for key in ("learner_steps", "q_mean", "q_std"))
    axes.plot(steps, mean, color=colour, label=f"{run.name} mean")
    axes.fill_between(steps, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
    maximum = _column(run.metrics, "q_max")
    axes.plot(steps, maximum, color=colour, alpha=0.5, linewidth=1.0, label=f"{run.name} maximum")
    axes.set_xlabel("learner steps")
    axes.set_ylabel("Q (discounted reward)")


def _draw_loss(axes: Axes, run: _Rows, colour: str) -> None:
    loss = _column(run.metrics, "loss")
    axes.plot(_column(run.metrics, "learner_steps"), loss, color=colour, label=run.name)
    if np.all(loss[np.isfinite(loss)] > 0):
        axes.set_yscale("log")
    axes.set_xlabel("learner steps")
    axes.set_ylabel("loss (reward units)")


def _draw_reward(axes: Axes, run: _Rows, colour: str) -> None:
    steps, rewards = _column(run.episodes, "env_steps"), _column(run.episodes, "return")
    axes.plot(steps, rewards, ".", color=colour, alpha=0.25, markersize=3)
    axes.plot(steps, _moving_mean(rewards), color=colour, label=run.name)
    axes.set_xlabel("env steps of the fleet")
    axes.set_ylabel("episode reward (reward units)")


def _draw_epsilon(axes: Axes, run: _Rows, colour: str) -> None:
    steps, epsilon = _column(run.metrics, "env_steps"), _column(run.metrics, "epsilon")
    axes.plot(steps, epsilon, color=colour, label=run.name)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("env steps of the fleet")
    axes.set_ylabel("epsilon (probability)")


def _draw_laps(axes: Axes, run: _Rows, colour: str) -> None:
    steps, laps_s = _column(run.laps, "env_steps"), _column(run.laps, "finish_ms") / 1000
    axes.plot(steps, laps_s, ".", color=colour, alpha=0.35, markersize=4, label=f"{run.name} laps")
    best = np.minimum.accumulate(laps_s)
    axes.step(steps, best, where="post", color=colour, label=f"{run.name} best {best[-1]:.2f} s")
    axes.set_xlabel("env steps of the fleet")
    axes.set_ylabel("lap time (s)")


def _draw_finish_rate(axes: Axes, run: _Rows, colour: str) -> None:
    finished = np.isfinite(_column(run.episodes, "finish_ms")).astype(np.float64)
    label = f"{run.name} exploring, last {_WINDOW_EPISODES} episodes"
    axes.plot(
        _column(run.episodes, "env_steps"), 100 * _moving_mean(finished), color=colour, label=label
    )
    if run.evaluations:
        axes.plot(
            _column(run.evaluations, "env_steps"),
            100 * _column(run.evaluations, "finish_rate"),
            "o--",
            color=colour,
            alpha=0.7,
            label=f"{run.name} greedy evaluation",
        )
    axes.set_ylim(-3, 103)
    axes.set_xlabel("env steps of the fleet")
    axes.set_ylabel("finished laps (%)")


def _moving_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the mean over the last episodes, over fewer at the beginning."""
    total = np.cumsum(np.insert(values, 0, 0.0))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - _WINDOW_EPISODES, 0)
    means: npt.NDArray[np.float64] = (total[last] - total[first]) / (last - first)
    return means
