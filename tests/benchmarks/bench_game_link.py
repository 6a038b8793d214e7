"""The pace of env steps through tmrl, and what each actor costs, with 1 to 4 stand-ins at once.

Run with ``python -m tests.benchmarks.bench_game_link [pairs ...]``; it needs Xvfb and xdotool.
"""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import structlog

from actors.game_link import GameLink
from actors.games import make_game
from common.game_config import GameConfig
from tests.support.camera_pilot import CameraPilot

STEPS = 600
PAIRS = (1, 2, 4)


def drive() -> dict[str, float]:
    """Figures of one actor that drives with the camera pilot; milliseconds and shares of a core."""
    game = make_game(GameConfig(name="standin"), training=True, seed=None)
    link = GameLink(lambda: game, stop=threading.Event())
    began_s = time.perf_counter()
    started = link.reset()
    first_reset_s = time.perf_counter() - began_s
    assert started is not None
    steps_ms: list[float] = []
    lap_ms: list[float] = []
    cpu_s, began_s = time.process_time(), time.perf_counter()
    while len(steps_ms) < STEPS:
        observation, pilot, ended = started[0], CameraPilot(), False
        while not ended:
            action = pilot.choose(observation["image"])
            at_s = time.perf_counter()
            observation, _, terminated, truncated, info = link.step(action)
            ended = terminated or truncated
            if not ended:
                steps_ms.append(1000.0 * (time.perf_counter() - at_s))
        if info["finished"]:
            lap_ms.append(info["lap_time_ms"])
        started = link.reset()
        assert started is not None
    cpu = (time.process_time() - cpu_s) / (time.perf_counter() - began_s)
    link.close()
    p50, p95, p99 = np.percentile(steps_ms, [50, 95, 99])
    late = float(np.mean(np.array(steps_ms) > 75.0))
    return {
        "reset_s": first_reset_s,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "late": late,
        "cpu": cpu,
        "finishes": len(lap_ms),
        "faults": link.faults,
    }


def main() -> None:
    """Print one row for each number of pairs; each pair is a process of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if sys.argv[1:] == ["--one"]:
        print(json.dumps(drive()))
        return
    print("| pairs | p50 ms | p95 ms | p99 ms | late | actor CPU | first reset s | faults |")
    print("|---|---|---|---|---|---|---|---|")
    for pairs in map(int, sys.argv[1:] or PAIRS):
        command = [sys.executable, "-m", "tests.benchmarks.bench_game_link", "--one"]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(pairs)]
        rows = [json.loads(process.communicate()[0]) for process in running]
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        print(
            f"| {pairs} | {mean['p50']:.2f} | {mean['p95']:.2f} | {mean['p99']:.2f} "
            f"| {mean['late']:.2%} | {mean['cpu']:.1%} | {mean['reset_s']:.1f} | {mean['faults']:.0f} |"
        )


if __name__ == "__main__":
    main()
