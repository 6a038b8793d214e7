"""How many environment steps a second one core gives: picture, stacking, info and resets included.

Run with ``python tests/benchmarks/bench_sim.py [track]``; it prints the median of five windows.
"""

import statistics
import sys
import time

import numpy as np

from actors.sim.env import SimEnv

WINDOWS = 5
STEPS = 20_000


def measure(track: str) -> list[float]:
    """Steps a second of each window, random actions, one thread."""
    env = SimEnv(track=track)
    actions = np.random.default_rng(0).integers(0, env.action_space.n, STEPS)
    env.reset(seed=0)
    for action in actions[:500]:
        if any(env.step(action)[2:4]):
            env.reset()
    rates = []
    for _ in range(WINDOWS):
        began = time.perf_counter()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        rates.append(STEPS / (time.perf_counter() - began))
    return rates


def main() -> None:
    """Print the figures of the named track."""
    track = sys.argv[1] if len(sys.argv) > 1 else "first-lap"
    rates = measure(track)
    spread = ", ".join(f"{rate:,.0f}" for rate in rates)
    print(f"{track}: {statistics.median(rates):,.0f} env steps/s (windows: {spread})")


if __name__ == "__main__":
    main()
