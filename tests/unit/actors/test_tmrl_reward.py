"""Our reward behind tmrl's interface."""

import numpy as np

from actors.trackmania.tmrl_reward import HighWaterReward

SETTINGS = {
    "reward_data_path": "nowhere",
    "nb_obs_forward": 500,
    "nb_obs_backward": 10,
    "nb_zero_rew_before_failure": 3,
    "min_nb_steps_before_failure": 5,
    "max_dist_from_traj": 100.0,
}
LINE = np.column_stack([np.arange(0.0, 100.0, 0.1), np.zeros(1000), np.zeros(1000)])


def at(x: float, z: float = 0.0) -> np.ndarray:
    return np.array([x, 0.0, z])


def started(*, off_line_m: float = 0.0) -> HighWaterReward:
    reward = HighWaterReward(off_line_m=off_line_m)
    assert reward(**SETTINGS) is reward
    reward.reset()
    reward.follow(LINE)
    return reward


def test_new_ground_pays_once() -> None:
    reward = started()
    assert reward.compute_reward(at(10.0)) == (1.0, False)
    assert reward.compute_reward(at(5.0)) == (0.0, False)
    assert reward.compute_reward(at(10.0)) == (0.0, False)
    assert reward.compute_reward(at(12.0)) == (0.2, False)
    assert reward.progress_m == 12.0
    assert reward.position == (12.0, 0.0, 0.0)


def test_before_the_line_is_known_nothing_is_paid_and_nothing_ends() -> None:
    reward = HighWaterReward()
    reward(**SETTINGS)
    reward.reset()
    assert [reward.compute_reward(at(9.0)) for _ in range(20)] == [(0.0, False)] * 20
    reward.follow(LINE)
    assert reward.compute_reward(at(9.0)) == (0.9, False)


def test_standing_still_ends_as_stuck_until_the_next_attempt() -> None:
    reward = started()
    ends = [reward.compute_reward(at(0.0))[1] for _ in range(7)]
    assert ends == [False] * 5 + [True] * 2
    assert reward.ended == "stuck"
    reward.reset()
    assert reward.ended == ""
    assert reward.compute_reward(at(0.0)) == (0.0, False)


def test_leaving_the_line_ends_only_where_it_is_asked_for() -> None:
    assert started().compute_reward(at(10.0, z=50.0)) == (1.0, False)
    reward = started(off_line_m=20.0)
    assert reward.compute_reward(at(10.0, z=19.0))[1] is False
    assert reward.compute_reward(at(11.0, z=21.0))[1] is True
    assert reward.ended == "off_line"
