"""A small bench on real processes: its books balance, and its figures are those of what was sent."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError
from common.wire import encode_segment
from deploy.commands.replay import bench
from deploy.fleet_bench.added_cost import added_costs
from deploy.fleet_bench.bench import BenchReport, BenchStep, fleet_sizes
from deploy.fleet_bench.bench_contract import STEPS, bench_contract
from deploy.fleet_bench.bench_text import conclusion
from deploy.fleet_bench.synthetic_actor import model_segments

pytestmark = pytest.mark.redis
FRAMES_PER_SECOND = 40.0
SECONDS = 3.0


@pytest.mark.slow
def test_nothing_is_lost_and_the_figures_fit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "scale.png"
    bench(
        actors="4,10",
        seconds=SECONDS,
        frames_per_second=FRAMES_PER_SECOND,
        plot=picture,
        json_output=True,
    )
    report = json.loads(capfd.readouterr().out)
    sent = report["transitions_sent"]
    assert sent == report["transitions_indexed"] == report["transitions_ingested"]
    assert sent % STEPS == 0
    assert [step["actors"] for step in report["steps"]] == [4, 10]
    for step in report["steps"]:
        used = step["usage"]
        appended_bytes = step["segments"] * segment_bytes()
        assert used["redis_in_bytes_per_s"] * SECONDS > 0.8 * appended_bytes
        assert all(used[f"{name}_cpu"] >= 0.0 for name in ("redis", "service", "ingest"))
        assert used["redis_connections"] >= 2 * step["actors"]
        assert 0.0 < step["delay_p50_ms"] <= step["delay_p99_ms"]
    assert picture.stat().st_size > 10_000


def segment_bytes() -> int:

    encoded = encode_segment(model_segments(bench_contract(), np.random.default_rng(0))[0])
    return len(encoded.meta) + len(encoded.frames)


def test_a_single_number_is_reached_step_by_step() -> None:
    assert fleet_sizes([1000]) == [10, 30, 100, 300, 1000]
    assert fleet_sizes([100]) == [10, 30, 100]
    assert fleet_sizes([200, 20, 20]) == [20, 200]


@pytest.mark.parametrize("text", ["", "0", "-1", "ten", "10,,20"])
def test_what_is_no_number_of_actors_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no number of actors"):
        bench(actors=text)


def step(actors: int, cpu: float, *, on_time: float = 1.0) -> BenchStep:
    keys = ("redis_cpu", "service_cpu", "ingest_cpu", "redis_used_bytes", "service_rss_bytes")
    more = ("ingest_rss_bytes", "redis_in_bytes_per_s", "redis_out_bytes_per_s")
    usage = dict.fromkeys((*keys, *more, "redis_commands_per_s"), 1000.0 * actors)
    return BenchStep(actors, actors, on_time, 0.0, 1.0, 2.0, {**usage, "redis_cpu": cpu})


def test_the_cost_of_an_added_actor_is_a_difference() -> None:
    first, second = added_costs([step(10, 1.0), step(20, 1.1), step(30, 1.25)])
    assert first.costs["redis_cpu"] == pytest.approx(10.0)
    assert second.costs["redis_cpu"] == pytest.approx(15.0)
    assert second.ratios["redis_cpu"] == pytest.approx(1.5)
    assert second.ratios["commands"] == pytest.approx(1.0)


@pytest.mark.parametrize(("seconds", "noisy"), [(15.0, True), (60.0, False)])
def test_a_difference_within_the_noise_of_the_clocks_is_called_so(
    seconds: float, *, noisy: bool
) -> None:
    steps = [step(10, 0.1), step(20, 0.12)]
    quiet = {"service_cpu": 0.1, "ingest_cpu": 0.1}
    steps = [replace(one, usage=one.usage | quiet) for one in steps]
    text = conclusion(BenchReport(20.0, seconds, steps, 1, 1, 1))
    assert ("0.3 s of CPU lie between 10 and 20 actors" in text) is noisy
    assert ("Too little to tell" in text) is noisy


def test_a_machine_that_cannot_keep_up_says_so_and_tells_nothing_of_the_design() -> None:
    steps = [step(10, 1.0), step(20, 1.1), step(30, 1.25), step(40, 9.0, on_time=0.5)]
    report = BenchReport(20.0, 1.0, steps, 100, 100, 99)
    assert len(added_costs(steps)) == 2
    text = conclusion(report)
    assert "too slow for 40 actors" in text
    assert "CPU of Redis: 1.50 of the first added actors' (NOT flat)" in text
    assert "Redis commands: 1.00 of the first added actors' (flat)" in text
    assert "99 ingested: THEY DISAGREE" in text
