"""The rows of the two runs that are known from their report, rebuilt between the figures that it gives.

Q, loss and epsilon are the report's; noise of a tenth is added to Q and loss. It gives env steps by
epsilon for the run that learned, and 100 and 200 an episode for the one that failed. Of the failed run's
rewards it says only that they degraded, so their fall to an eighth here is an assumption.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = dict[str, Any]
ACTIONS = 11


@dataclass(frozen=True)
class Reported:
    """Figures at some episodes: episode, Q, loss, epsilon, reward, env steps."""

    figures: tuple[tuple[float, ...], ...]
    reward_noise: float

    def at(self, episode: int) -> tuple[float, ...]:
        table = np.array(self.figures)
        return tuple(float(np.interp(episode, table[:, 0], column)) for column in table.T[1:])

    @property
    def episodes(self) -> int:
        return int(self.figures[-1][0])

    def rows(self, seed: int = 0) -> Iterator[tuple[Row, Row]]:
        """Yields a row of metrics and a finished episode for each episode."""
        rng = np.random.default_rng(seed)
        for n in range(1, self.episodes + 1):
            q, loss, epsilon, reward, env_steps = self.at(n)
            noise = 1.0 + 0.1 * rng.standard_normal(2)
            metrics = {
                "time": float(n), "episodes": n, "env_steps": int(env_steps), "epsilon": epsilon,
                "q_mean": q * noise[0], "loss": loss * noise[1], "grad_norm": 2.0 * noise[1],
                "samples_per_insert": 32.0, "staleness_mean": min(env_steps, 100_000) / 2,
                "replay_size": min(int(env_steps), 100_000),
            }  # fmt: skip
            random = rng.multinomial(200, [1 / ACTIONS] * ACTIONS)
            episode = {
                "n": n, "env_steps": int(env_steps), "ended_at": float(n), "reason": "stuck",
                "return": reward + self.reward_noise * rng.standard_normal(),
                "finish_ms": 30_000.0 if n > 1400 and rng.random() < 0.02 else None,
                "action_counts": random.tolist(),
            }  # fmt: skip
            yield metrics, episode


PROVEN = Reported(
    (
        (0, 0.0, 6.0, 1.0, 0.0, 0),
        (500, 20.0, 3.0, 0.95, 50.0, 126_000),
        (1000, 30.0, 2.0, 0.90, 75.0, 253_000),
        (1500, 40.0, 1.5, 0.85, 100.0, 379_000),
        (2500, 50.0, 1.0, 0.75, 150.0, 631_000),
    ),
    reward_noise=25.0,
)
FAILED = Reported(
    (
        (0, 0.0, 6.0, 1.0, 0.0, 0),
        (200, 5.0, 4.0, 0.8, 20.0, 20_000),
        (400, 10.0, 3.0, 0.5, 40.0, 40_000),
        (500, -100.0, 6.0, 0.4, 30.0, 50_000),
        (600, -1000.0, 15.0, 0.2, 20.0, 70_000),
        (1000, -40_000.0, 15.0, 0.01, 5.0, 150_000),
        (1500, -40_000.0, 15.0, 0.01, 5.0, 250_000),
    ),
    reward_noise=10.0,
)
