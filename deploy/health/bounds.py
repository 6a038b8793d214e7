"""The bounds of the rules: constants, phases, and the expectations of the configuration."""

from common.health_config import Line
from common.segment import MAX_FRAMES
from deploy.health.check import Band, Point
from deploy.health.expectation import Expectation
from deploy.health.rule import Bound

EPSILON_EXPECTED: Line = (1.0, 0.95, 0.85, 0.75)
_EPSILON_SLACK = 0.1
_EPSILON_FLOOR = 0.5
_EPSILON_FLOOR_EPISODES = 10_000
_JUDGED_BANDS = 10
"""The ratio of samples to inserts is judged when its band has become so many times narrower than it."""


def at_most(high: float) -> Bound:
    """Returns a bound that is the same at all times."""
    return lambda _expectation, _point: Band(high=high)


def at_least(low: float) -> Bound:
    """Returns a bound that is the same at all times."""
    return lambda _expectation, _point: Band(low=low)


def from_phase(number: int, bound: Bound) -> Bound:
    """Returns a bound that holds from a phase on; before, nothing is judged."""

    def later(expectation: Expectation, point: Point) -> Band | None:
        begun = expectation.in_phase(point.episode, number)
        return bound(expectation, point) if begun else None

    return later


def q_line(expectation: Expectation, point: Point) -> Band:
    """At least half of the expected Q, less 1 for its beginning around 0."""
    line = expectation.config.health.q_expected
    if line is None:
        return Band()
    return Band(low=0.5 * expectation.line(line, point.episode) - 1.0)


def q_floor(expectation: Expectation, _point: Point) -> Band:
    """The run's floor of Q."""
    return Band(low=expectation.config.health.q_floor)


def loss_line(expectation: Expectation, point: Point) -> Band:
    """At most twice the expected loss and 1."""
    line = expectation.config.health.loss_expected
    if line is None:
        return Band()
    return Band(high=2.0 * expectation.line(line, point.episode) + 1.0)


def loss_ceiling(expectation: Expectation, point: Point) -> Band:
    """The run's ceiling of the loss, from the second phase on."""
    if not expectation.in_phase(point.episode, 2):
        return Band()
    return Band(high=expectation.config.health.loss_ceiling)


def reward_line(expectation: Expectation, point: Point) -> Band | None:
    """At least half of the expected reward."""
    line = expectation.config.health.reward_expected
    return None if line is None else Band(low=0.5 * expectation.line(line, point.episode))


def epsilon_line(expectation: Expectation, point: Point) -> Band:
    """At least the expected epsilon less 0.1, or the proven schedule's at these env steps."""
    expected = expectation.line(EPSILON_EXPECTED, point.episode)
    return Band(low=min(expected, expectation.proven_epsilon(point.env_steps)) - _EPSILON_SLACK)


def epsilon_floor(expectation: Expectation, point: Point) -> Band:
    """At least 0.5 before episode 10,000, unless the proven schedule is below it at these env steps."""
    until = expectation.config.health.phase_scale * _EPSILON_FLOOR_EPISODES
    explored = expectation.proven_epsilon(point.env_steps) < _EPSILON_FLOOR
    over = expectation.learned_episodes(point.episode) >= until
    return Band() if over or explored else Band(low=_EPSILON_FLOOR)


def samples_per_insert(share: float) -> Bound:
    """Returns a bound around the target, from when the limiter's band is narrow against it.

    Args:
        share: how far from the target is fine, relative to it.
    """

    def around(expectation: Expectation, point: Point) -> Band | None:
        config = expectation.config
        start = config.learner.first_sample_size
        batches = 2.0 * config.learner.batch_size / config.replay.samples_per_insert
        slack = max(config.replay.tolerance * start, batches, MAX_FRAMES)
        judged = start + _JUDGED_BANDS * slack
        return Band(1.0 / (1.0 + share), 1.0 + share) if point.env_steps >= judged else None

    return around


def gradient_clip(share: float) -> Bound:
    """Returns a bound at a share of the norm to which gradients are clipped."""
    return lambda expectation, _point: Band(high=share * expectation.config.learner.grad_clip_norm)
