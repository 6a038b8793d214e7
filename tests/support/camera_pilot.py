"""Drives by nothing but the newest camera frame: finds the dark road and steers for its middle."""

import numpy as np
import numpy.typing as npt

from common.game_config import PROVEN_ACTIONS

NEAR_ROWS, FAR_ROWS = slice(33, 38), slice(28, 32)
ROAD_DARKEST, ROAD_BRIGHTEST = 60, 92
FEWEST_PIXELS = 4
MIDDLE = 31.5
FAST_MPS, SLOW_MPS = 15.0, 12.0
STEP_S = 0.05


class CameraPilot:
    """A careful driver for the actions of the proven run.

    It sees no speed, so it reckons with what its own gas must have done.
    """

    def __init__(self) -> None:
        self._speed_mps = 0.0
        self._steer_due = 0.0
        self._last_error = 0.0

    def choose(self, image: npt.NDArray[np.uint8]) -> int:
        """Returns the action for a stack of frames, newest last."""
        frame = image[-1]
        near, far = _middle(frame[NEAR_ROWS]), _middle(frame[FAR_ROWS])
        error = self._last_error if near is None else near
        ahead = error if far is None else far
        self._last_error = error
        steer = float(np.clip(error + 3.0 * ahead, -1.0, 1.0))
        bend = min(1.0, 3.0 * max(abs(error), abs(ahead)))
        gas = self._speed_mps < FAST_MPS - (FAST_MPS - SLOW_MPS) * bend
        wanted = float(np.clip(steer + self._steer_due, -1.5, 1.5))
        costs = [
            abs(row[2] - wanted) + 0.3 * abs(row[0] - gas) + 4.0 * row[1] for row in PROVEN_ACTIONS
        ]
        best = int(np.argmin(costs))
        self._steer_due = float(np.clip(wanted - PROVEN_ACTIONS[best][2], -0.6, 0.6))
        pull = 14.0 * (1.0 - self._speed_mps / 45.0) if PROVEN_ACTIONS[best][0] else -1.3
        self._speed_mps = max(0.0, self._speed_mps + STEP_S * pull)
        return best


def _middle(rows: npt.NDArray[np.uint8]) -> float | None:
    """Returns how far the road's middle is to the right, -1 to 1; None where no road is seen."""
    road = (rows >= ROAD_DARKEST) & (rows <= ROAD_BRIGHTEST)
    if int(road.sum()) < FEWEST_PIXELS:
        return None
    return float((np.nonzero(road)[1].mean() - MIDDLE) / MIDDLE)
