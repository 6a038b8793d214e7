"""Why an attempt ended, from what tmrl paid."""

import pytest

from actors.trackmania.env_child import end_of
from actors.trackmania.tmrl_home import FINISH_REWARD


@pytest.mark.parametrize(
    ("reward", "ended", "truncated", "end"),
    [
        (0.3, "", False, ""),
        (0.3, "stuck", False, "stuck"),
        (0.3, "off_line", True, "off_line"),
        (0.0, "", True, "time_limit"),
        (FINISH_REWARD + 0.3, "", False, "finish"),
        (FINISH_REWARD, "stuck", False, "finish"),
        (FINISH_REWARD + 1.0, "off_line", True, "finish"),
    ],
)
def test_who_finished_has_finished(reward: float, ended: str, truncated: bool, end: str) -> None:  # noqa: FBT001 - a parameter of the test
    assert end_of(reward, ended, truncated=truncated) == end
