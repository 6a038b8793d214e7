"""A bench as a picture: what a fleet costs, and what one more actor costs, over its size."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.fleet_bench.added_cost import FLAT, MEASURES, Measure, added_costs
from deploy.fleet_bench.bench import BenchReport, BenchStep
from deploy.plots import COLOURS, STYLE

_LEAST_CORES = 1e-3
"""Drawn where a process used less than the clock shows: the axis is logarithmic."""
_RATIOS = ("cpu", "memory", "bytes_in", "bytes_out", "commands")


def draw_bench(report: BenchReport, file: Path) -> None:
    """Writes the picture.

    Args:
        report: at least two fleets.
        file: the PNG; its folder is there.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 8.2), layout="constrained")
        whole, added = figure.subplots(2, 1)
        _draw_fleets(whole, report)
        _draw_ratios(added, report)
        figure.savefig(file)


def _draw_fleets(axes: Axes, report: BenchReport) -> None:
    steps = [step for step in report.steps if not step.saturated]
    late = [step for step in report.steps if step.saturated]
    shown = [measure for measure in MEASURES if measure.name.endswith("_cpu")]
    for measure, colour in zip(shown, COLOURS, strict=False):
        axes.plot(*_points(steps, measure), "o-", color=colour, label=measure.title)
        axes.plot(*_points(late, measure), "x", color=colour)
    if late:
        axes.plot([], [], "x", color="black", label="the machine was too slow for its generator")
    _count_actors(axes, report)
    axes.set_yscale("log")
    axes.set_ylabel("CPU (cores)")
    axes.set_title(f"A fleet at {report.frames_per_second:g} env steps a second an actor")
    axes.legend()


def _draw_ratios(axes: Axes, report: BenchReport) -> None:
    costs = added_costs(report.steps)
    actors = [cost.above for cost in costs]
    titles = {measure.name: measure.title for measure in MEASURES}
    for name, colour in zip(_RATIOS, COLOURS, strict=False):
        ratios = [cost.ratios[name] for cost in costs]
        axes.plot(actors, ratios, "o-", color=colour, label=titles[name])
    axes.axhline(FLAT, color="black", linewidth=1.0, linestyle="--")
    _count_actors(axes, report)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("cost of an added actor (first = 1)")
    axes.set_title("One more actor, against the first ones; flat is below the dashed line")
    axes.legend()


def _points(steps: Sequence[BenchStep], measure: Measure) -> tuple[list[int], list[float]]:
    cores = [max(_LEAST_CORES, 1e-3 * measure.of(step.usage)) for step in steps]
    return [step.actors for step in steps], cores


def _count_actors(axes: Axes, report: BenchReport) -> None:
    """Lets both pictures show the same fleets, by their numbers."""
    actors = [step.actors for step in report.steps]
    axes.set_xscale("log")
    axes.set_xlim(0.9 * actors[0], 1.1 * actors[-1])
    axes.set_xticks(actors, [f"{count:,}" for count in actors])
    axes.minorticks_off()
    axes.set_xlabel("actors")
