"""What a run's own configuration lets one expect of it at each of its episodes."""

from dataclasses import dataclass, field

import numpy as np

from common.config import Config
from common.health_config import Line
from common.schedules import epsilon

PHASE_ENDS = (500, 1500, 2500)
"""Episodes of the proven run at which its three phases end."""
_PROVEN = Config()


@dataclass(slots=True)
class Expectation:
    """Turns a configuration and an episode into what is expected.

    Attributes:
        config: of the run.
        first_episode: finished episodes when learning began, from where phases count; None before.
    """

    config: Config
    first_episode: int | None = field(default=None)

    @property
    def phase_ends(self) -> tuple[int, ...]:
        """Episodes, counted from the beginning of learning, at which the phases end."""
        return tuple(max(1, round(self.config.health.phase_scale * end)) for end in PHASE_ENDS)

    def learned_episodes(self, episode: int) -> int:
        """Returns how many episodes were driven since learning began; negative before."""
        return -1 if self.first_episode is None else episode - self.first_episode

    def in_phase(self, episode: int, number: int) -> bool:
        """Returns whether an episode lies in a phase or after it.

        Args:
            episode: of the fleet.
            number: of the phase, from 1.
        """
        begins = 0 if number == 1 else self.phase_ends[number - 2]
        return self.learned_episodes(episode) >= begins

    def line(self, line: Line, episode: int) -> float:
        """Returns the value of an expectation at an episode, straight between the ends of phases."""
        return float(np.interp(self.learned_episodes(episode), (0, *self.phase_ends), line))

    def proven_epsilon(self, env_steps: int) -> float:
        """Returns the proven schedule's epsilon at these env steps, scaled as the phases are.

        Long episodes lower epsilon before the phases do; then exploration was long enough all the same.
        """
        scaled = round(env_steps / self.config.health.phase_scale)
        return epsilon(_PROVEN.exploration, env_steps=scaled, episodes=0)

    @property
    def updates_per_env_step(self) -> float:
        """Learner steps for each env step."""
        return self.config.replay.samples_per_insert / self.config.learner.batch_size
