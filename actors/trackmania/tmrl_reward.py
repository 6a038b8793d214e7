"""Our progress reward in the place of tmrl's, which pays the same metres again and again."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from actors.progress import POINT_SPACING_M, ProgressReward

STUCK, OFF_LINE = "stuck", "off_line"
FINISH, TIME_LIMIT = "finish", "time_limit"
_BEHIND, _AHEAD = 100, 500


class HighWaterReward:
    """What tmrl calls its reward function: pays new ground only, and says why it ended an attempt.

    tmrl makes its reward function itself; an instance is called like the class it replaces and
    returns itself.

    Args:
        off_line_m: distance from the line beyond which the attempt ends, 0 for never.

    Attributes:
        ended: why the attempt ended, ``stuck`` or ``off_line``; empty where it did not.
        position: where the car was last seen: x, y, z in metres.
        paid: the reward of the last env step.
    """

    def __init__(self, *, off_line_m: float = 0.0) -> None:
        self._off_line_m = off_line_m
        self._settings: dict[str, Any] = {}
        self._progress: ProgressReward | None = None
        self._line: npt.NDArray[np.float64] | None = None
        self.ended = ""
        self.position = (0.0, 0.0, 0.0)
        self.paid = 0.0

    def __call__(
        self,
        *,
        reward_data_path: str,  # noqa: ARG002 - tmrl's pickle; the line comes by follow()
        nb_obs_forward: int,
        nb_obs_backward: int,
        nb_zero_rew_before_failure: int,
        min_nb_steps_before_failure: int,
        max_dist_from_traj: float,
    ) -> Self:
        """Takes tmrl's settings, by tmrl's names."""
        self._settings = {
            "check_forward": nb_obs_forward,
            "check_backward": nb_obs_backward,
            "failure_countdown": nb_zero_rew_before_failure,
            "min_steps": min_nb_steps_before_failure,
            "max_stray_m": max_dist_from_traj,
        }
        self._build()
        return self

    def follow(self, line: npt.NDArray[np.float64]) -> None:
        """Starts to count progress along a line, rows of x, y, z in metres; before it none is paid.

        Which line it is, is known only when the car stands at the start of its race.
        """
        self._line = line
        self._build()

    def reset(self) -> None:
        """Starts an attempt."""
        self.ended = ""
        self.paid = 0.0
        if self._progress is not None:
            self._progress.reset()

    def compute_reward(self, pos: npt.NDArray[np.float64]) -> tuple[float, bool]:
        """Returns the reward of having come to a position, and whether that ends the attempt."""
        x, y, z = (float(value) for value in pos)
        self.position = (x, y, z)
        progress = self._progress
        if progress is None:
            return 0.0, False
        self.paid = reward = progress.advance(self.position)
        if progress.stuck:
            self.ended = STUCK
        elif self._off_line_m > 0.0 and self._distance_m(progress) > self._off_line_m:
            self.ended = OFF_LINE
        return reward, bool(self.ended)

    @property
    def progress_m(self) -> float:
        """Distance along the line of the furthest point of the attempt, metres."""
        return 0.0 if self._progress is None else self._progress.furthest_m

    def _build(self) -> None:
        if self._line is not None and self._settings:
            self._progress = ProgressReward(self._line, **self._settings)

    def _distance_m(self, progress: ProgressReward) -> float:
        """Distance to the line around the furthest point, metres."""
        index = round(progress.furthest_m / POINT_SPACING_M)
        near = progress.line[max(0, index - _BEHIND) : index + _AHEAD]
        return float(np.sqrt(((near - self.position) ** 2).sum(axis=1).min()))
