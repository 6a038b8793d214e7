"""Prints what one action costs, and how many env steps a second an actor makes of it.

    python tests/benchmarks/bench_act.py [--seconds S]

One thread, the proven network, batch of one. ``act`` explores with noise and fresh fractions, ``greedy``
evaluates, ``env step`` is the simulation alone, ``driven`` is act, env step and segment together.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from actors.games import game_spec, make_game
from actors.policy import Policy
from actors.segment_builder import SegmentBuilder
from common.config import Config
from common.network import network_for


def time_it(name: str, call: Callable[[], object], seconds: float) -> None:
    """Prints the fastest percent, the median and the slowest five percent, in microseconds."""
    for _ in range(200):
        call()
    took = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        call()
        took.append(time.perf_counter() - began)
    low, middle, high = np.percentile(took, (1, 50, 95)) * 1e6
    print(
        f"{name:<10} p1 {low:7.1f}  p50 {middle:7.1f}  p95 {high:7.1f} us  {1e6 / middle:9,.0f}/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    config = Config()
    env = make_game(config.game, training=True, seed=0)
    spec = game_spec(env, config.game)
    policy = Policy(network_for(spec, config), spec, config.exploration, np.random.default_rng(0))
    policy.install(param_version=0)
    builder = SegmentBuilder(actor="bench", spec=spec, n_step=1, contract="")
    observation, _ = env.reset()
    builder.start(observation)

    def step(action: int) -> None:
        nonlocal observation
        after, reward, terminated, truncated, info = env.step(action)
        builder.push(
            action, float(reward), after, terminated=terminated, truncated=truncated, info=info
        )
        observation = after
        if terminated or truncated:
            observation, _ = env.reset()
            builder.start(observation)

    time_it("act", lambda: policy.act(observation, 0.0), seconds)
    time_it("greedy", lambda: policy.greedy(observation), seconds)
    time_it("env step", lambda: step(1), seconds)
    time_it("driven", lambda: step(policy.act(observation, 0.0)), seconds)
    time_it("install", lambda: policy.install(param_version=1), seconds)


if __name__ == "__main__":
    main()
