"""Draws a reward line: the map from above, and its heights."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from actors.trackmania.reward_line import SPACING_M, RewardLine
from deploy.plots import COLOURS, STYLE

_TICK_M = 100.0


def draw_line(line: RewardLine, file: Path) -> None:
    """Writes the picture of a line.

    Args:
        line: what to draw.
        file: the PNG; its folder is there.
    """
    x, y, z = line.points.T
    every = round(_TICK_M / SPACING_M)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 7.6), layout="constrained")
        above, heights = figure.subplots(2, 1, height_ratios=(3.0, 1.0))
        above.plot(x, z, color=COLOURS[0])
        above.plot(x[every::every], z[every::every], ".", color=COLOURS[0], label="every 100 m")
        above.plot(x[0], z[0], "o", color=COLOURS[2], label="start")
        above.plot(x[-1], z[-1], "s", color=COLOURS[1], label="finish")
        above.set_aspect("equal", adjustable="datalim")
        above.set_xlabel("x (m)")
        above.set_ylabel("z (m)")
        above.set_title(f"Reward line of {line.name}: {line.length_m:,.1f} m, from above")
        above.legend()
        heights.plot(np.arange(len(y)) * SPACING_M, y, color=COLOURS[0])
        heights.set_xlabel("distance along the line (m)")
        heights.set_ylabel("height (m)")
        heights.margins(x=0.01)
        figure.savefig(file)
