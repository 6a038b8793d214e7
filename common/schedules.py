"""Schedules over the fleet's counters: epsilon, beta and the learning rate."""

import math

from common.config import ExplorationConfig, LearningRateConfig, ReplayConfig


def epsilon(config: ExplorationConfig, *, env_steps: int, episodes: int) -> float:
    """Returns the fleet's exploration rate, a probability.

    Linear from start to end, then held, then 0 beyond the cutoff.

    Args:
        config: start, end, span and the counter that drives it.
        env_steps: env steps of the whole fleet so far.
        episodes: finished episodes of the whole fleet so far.
    """
    if env_steps >= config.epsilon_cutoff:
        return 0.0
    if config.counted_in == "env_steps":
        progress = env_steps / config.epsilon_decay_to
    else:
        progress = episodes / config.epsilon_decay_episodes
    span = config.epsilon_end - config.epsilon_start
    return config.epsilon_start + min(1.0, progress) * span


def actor_epsilon(fleet_epsilon: float, *, ladder: float, index: int, count: int) -> float:
    """Returns one actor's epsilon on the Ape-X ladder.

    Args:
        fleet_epsilon: the scheduled epsilon.
        ladder: spread; 0 gives every actor the fleet's epsilon.
        index: position of the actor, from 0.
        count: number of actors.

    Source:
        Horgan et al. (2018), section 4: epsilon_i = epsilon ** (1 + alpha * i / (N - 1)).
    """
    if count < 2 or ladder == 0.0:  # noqa: PLR2004 - a ladder needs two rungs
        return fleet_epsilon
    return float(fleet_epsilon ** (1.0 + ladder * index / (count - 1)))


def beta(config: ReplayConfig, *, learner_steps: int) -> float:
    """Returns the importance-weight exponent after so many learner steps."""
    return min(1.0, config.beta_start + config.beta_increment * learner_steps)


def learning_rate(config: LearningRateConfig, *, episodes: int) -> float:
    """Returns the learning rate after so many episodes of the fleet.

    The cosine schedule stays at its end: the original rose again after its last episode.
    """
    if config.schedule == "constant":
        return config.initial
    progress = min(1.0, episodes / config.cosine_episodes)
    return config.final + 0.5 * (config.initial - config.final) * (1 + math.cos(math.pi * progress))
