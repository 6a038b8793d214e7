"""The run that failed lights the right checks early; the ones that learned light none."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from common.config import Config
from deploy.config_file import load_config
from deploy.health.check import State
from deploy.health.recorded_health import read_health
from deploy.health.run_health import RunHealth
from deploy.run_folder import RunFolder
from tests.support.known_runs import FAILED, PROVEN, Reported

RECORDED = Path(__file__).parents[3] / "support" / "recorded"


def _turns(reported: Reported, config: Config, *, seed: int = 0) -> dict[tuple[str, State], int]:
    """Returns at which episode each check first had each state."""
    health = RunHealth(config)
    turns: dict[tuple[str, State], int] = {}
    for metrics, episode in reported.rows(seed):
        for change in (*health.add_metrics(metrics), *health.add_episode(episode)):
            turns.setdefault((change.rule.name, change.check.state), int(episode["n"]))
    return turns


def _ill(turns: Iterable[tuple[str, State]]) -> set[tuple[str, State]]:
    return {turn for turn in turns if turn[1] in ("watch", "red")}


@pytest.mark.parametrize("seed", range(5))
def test_the_run_that_learned_lights_nothing(seed: int) -> None:
    turns = _turns(PROVEN, Config(), seed=seed)
    assert _ill(turns) == set()
    known = {name for name, state in turns if state == "ok"}
    assert known >= {"q_value", "loss", "epsilon", "reward", "reward_trend", "finishes", "actions"}


CAUGHT: dict[tuple[str, State], int] = {
    ("epsilon", "watch"): 120,
    ("epsilon", "red"): 405,
    ("q_value", "watch"): 410,
    ("q_value", "red"): 425,
    ("loss", "watch"): 520,
    ("loss", "red"): 555,
    ("reward", "watch"): 600,
    ("reward_trend", "red"): 740,
}
"""Latest episode at which each check has caught the failed run, whose Q fell from episode 400 on."""


def test_the_failed_run_is_caught_early() -> None:
    turns = _turns(FAILED, Config())
    late = {
        turn: turns.get(turn) for turn, latest in CAUGHT.items() if turns.get(turn, 9999) > latest
    }
    assert late == {}, turns
    assert turns["q_value", "watch"] >= 400, "nothing was wrong with Q before"
    others = _ill(turns) - set(CAUGHT)
    assert {name for name, _ in others} <= {"reward", "reward_trend", "finishes"}


def test_the_failed_runs_settings_are_caught_at_once() -> None:
    failed = load_config(preset="failed-run")
    health = RunHealth(failed)
    for n in range(1, 6):
        row = PROVEN.at(n)
        metrics = next(iter(PROVEN.rows()))[0] | {"episodes": n, "epsilon": 0.9 - 0.00089 * n}
        health.add_metrics(metrics | {"env_steps": int(row[-1])})
    assert health.checks["epsilon"].state == "watch"


@pytest.mark.parametrize("name", ["quickstart"])
def test_a_recorded_run_lights_nothing(name: str, tmp_path: Path) -> None:
    config = load_config(preset=name)
    folder = RunFolder(tmp_path)
    for kind in ("metrics", "episodes", "fleet"):
        packed = RECORDED / f"{name}-{kind}.jsonl.gz"
        (tmp_path / f"{kind}.jsonl").write_bytes(gzip.decompress(packed.read_bytes()))
    health = read_health(folder, config)
    states = {name: check.state for name, check in health.checks.items()}
    assert {name for name, state in states.items() if state in ("watch", "red")} == set()
    assert json.dumps(health.as_values(), allow_nan=False)
    unknown = {name for name, state in states.items() if state == "unknown"}
    assert unknown == set(), "the recording is long enough to know every check"
