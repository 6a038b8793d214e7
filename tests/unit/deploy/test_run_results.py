import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from common.config import Config
from common.errors import ConfigError
from deploy.config_file import load_config
from deploy.console import LiveConsole, PlainConsole, plain_line
from deploy.critical_notice import FOR_SHORT_RUNS, critical_notice
from deploy.end_conditions import EndConditions
from deploy.plots import draw_runs
from deploy.run_folder import RunFolder, write_text
from deploy.run_progress import RunProgress
from deploy.summary import summarise, updates_per_s
from deploy.train_plan import TrainRequest, make_plan


def _episode(n: int, finish_ms: float | None = None) -> dict[str, object]:
    return {"n": n, "return": float(n), "env_steps": 100 * n, "finish_ms": finish_ms}


def _metrics(steps: int, incarnation: int = 1, time: float = 0.0) -> dict[str, object]:
    return {
        "learner_steps": steps, "env_steps": steps, "loss": 1.0 / steps, "q_mean": 0.1 * steps,
        "q_std": 0.1, "q_max": 0.2 * steps, "epsilon": 0.9, "staleness_mean": 10.0,
        "staleness_max": 20 + steps, "learner_incarnation": incarnation, "time": time,
        "updates_per_s": 50.0, "replay_size": 100, "samples_per_insert": 8.0,
    }  # fmt: skip


def _evaluation(finishes: int, median_ms: float | None) -> dict[str, object]:
    return {
        "episodes": 10, "finishes": finishes, "finish_rate": finishes / 10, "env_steps": 500,
        "lap_median_ms": median_ms, "lap_best_ms": median_ms, "lap_mean_ms": median_ms,
        "param_version": 7, "return_mean": 3.0,
    }  # fmt: skip


def _progress() -> RunProgress:
    progress = RunProgress()
    progress.add_metrics(_metrics(100, time=1.0))
    progress.add_metrics(_metrics(200, time=3.0))
    for n, finish_ms in ((1, None), (2, 30_000.0), (3, 25_500.0), (4, 27_000.0)):
        progress.add_episode(_episode(n, finish_ms))
    progress.add_evaluation(_evaluation(5, 29_000.0))
    progress.add_evaluation(_evaluation(5, 26_000.0))
    progress.add_evaluation(_evaluation(2, 20_000.0))
    progress.hearts = {"actor-0": {"fps": 200.0, "env_steps": 400}, "learner": {"pid": 1}}
    return progress


def test_totals_over_rows() -> None:
    progress = _progress()
    assert (progress.episodes, progress.finishes) == (4, 3)
    assert (progress.best_lap_ms, progress.best_lap_episode) == (25_500.0, 3)
    assert progress.env_steps == 400
    assert progress.recent_return == pytest.approx(2.5)
    assert progress.staleness_mean == 10.0
    assert progress.staleness_max == 220
    assert progress.best_evaluation["lap_median_ms"] == 26_000.0


def test_the_best_evaluation_is_the_one_whose_checkpoint_is_kept() -> None:
    progress = RunProgress()
    progress.add_evaluation(_evaluation(5, 30_000.0) | {"lap_median_ms": 25_000.0})
    progress.add_evaluation(_evaluation(5, 29_000.0))
    assert progress.best_evaluation["lap_mean_ms"] == 29_000.0
    without_a_lap = RunProgress()
    for mean in (1.0, 4.0, 2.0):
        without_a_lap.add_evaluation(_evaluation(0, None) | {"return_mean": mean})
    assert without_a_lap.best_evaluation["return_mean"] == 4.0


def test_the_summary_has_every_figure_that_the_specification_names(tmp_path: Path) -> None:
    config = Config.model_validate({"learner": {"target": {"rule": "soft"}}})
    summary = summarise(
        RunFolder(tmp_path), config=config, progress=_progress(), end_reason="why", wall_s=12.34,
        replay={"transitions_indexed": 400}, learner_steps=234,
    )  # fmt: skip
    assert summary["env_steps"] == 400
    assert summary["learner_steps"] == 234
    assert summary["best_lap_s"] == 25.5
    assert summary["greedy_evaluation"]["median_lap_s"] == 26.0
    assert summary["end_reason"] == "why"
    assert summary["replay"]["transitions_indexed"] == 400
    assert summary["critical_changes"] == [
        {"key": "learner.target.rule", "proven": "hard", "chosen": "soft"}
    ]
    for key in ("episodes", "finishes", "wall_s", "updates_per_s", "staleness_mean"):
        assert key in summary


def test_faults_are_counted_by_cause(tmp_path: Path) -> None:
    progress = _progress()
    for cause in ("telemetry_closed", "child_died", "telemetry_closed"):
        progress.add_episode(_episode(9) | {"reason": f"fault:{cause}"})
    progress.add_episode(_episode(10) | {"reason": "stuck"})
    summary = summarise(
        RunFolder(tmp_path), config=Config(), progress=progress, end_reason="why", wall_s=1.0,
        replay={}, learner_steps=1,
    )  # fmt: skip
    assert summary["faults"] == {"child_died": 1, "telemetry_closed": 2}


def test_the_live_table_names_what_keeps_a_game_from_driving_and_counts_its_faults() -> None:
    progress = _progress()
    progress.hearts["actor-0"] |= {
        "fps": 0.0, "game_state": "window_missing", "faults": 2, "env_restarts": 1, "late_steps": 0,
    }  # fmt: skip
    console = Console(force_terminal=True, width=160, record=True)
    with LiveConsole(console, title="a-run") as live:
        live.show(progress, elapsed_s=0.0, left="all")
    assert "window_missing, 2 faults, 1 env restart" in console.export_text()
    line = plain_line(progress, elapsed_s=0.0, left="")
    assert "(0/s, window_missing)" in line
    progress.hearts["actor-1"] = {"fps": 20.0, "game_state": "driving"}
    assert "(20/s)" in plain_line(progress, elapsed_s=0.0, left="")


def test_the_pace_leaves_pauses_between_starts_out() -> None:
    rows = [_metrics(100, 1, 10.0), _metrics(300, 1, 14.0), _metrics(300, 2, 900.0),
            _metrics(400, 2, 901.0)]  # fmt: skip
    assert updates_per_s(rows) == 60.0
    assert updates_per_s(rows[:1]) is None
    assert updates_per_s([]) is None


@pytest.mark.parametrize(
    ("settings", "elapsed_s", "reason"),
    [
        ({}, 0.0, None),
        ({"run": {"max_env_steps": 400}}, 0.0, "run.max_env_steps reached: 400 of 400"),
        ({"run": {"max_minutes": 1}}, 59.0, None),
        ({"run": {"max_minutes": 1}}, 60.0, "run.max_minutes reached: 1 minutes"),
        ({"evaluation": {"stop_at_finish_rate": 0.3}}, 0.0, None),
    ],
)
def test_a_run_ends_when_it_should(
    settings: dict[str, object], elapsed_s: float, reason: str | None
) -> None:
    conditions = EndConditions(Config.model_validate(settings))
    assert conditions.reached(_progress(), elapsed_s=elapsed_s) == reason


def test_a_good_evaluation_ends_the_run_but_an_old_one_does_not() -> None:
    config = Config.model_validate({"evaluation": {"stop_at_finish_rate": 0.9}})
    progress = _progress()
    progress.add_evaluation(_evaluation(9, 20_000.0))
    reason = EndConditions(config).reached(progress, elapsed_s=0.0)
    assert reason is not None
    assert "90% of its laps" in reason
    assert EndConditions(config, progress.evaluations).reached(progress, elapsed_s=0.0) is None


def test_the_plain_line_says_it_all() -> None:
    line = plain_line(_progress(), elapsed_s=3723.0, left="5 %")
    for part in ("1:02:03", "env steps 400 (200/s)", "best lap 25.50 s", "2/10 finished", "5 %"):
        assert part in line
    assert "best lap -" in plain_line(RunProgress(), elapsed_s=0.0, left="")


def test_until_learning_starts_the_replay_says_how_far_it_is() -> None:
    progress = RunProgress(first_sample_size=3000)
    progress.hearts = {
        "actor-0": {"fps": 20.0, "env_steps": 1000},
        "actor-1": {"fps": 20.0, "env_steps": 834},
        "learner": {"env_steps": 0},
    }
    assert "replay 1,834 of 3,000 until learning starts |" in plain_line(
        progress, elapsed_s=0.0, left=""
    )
    console = Console(force_terminal=True, width=160, record=True)
    with LiveConsole(console, title="a-run") as live:
        live.show(progress, elapsed_s=0.0, left="all")
    assert "1,834 of 3,000 until" in console.export_text()
    progress.add_metrics(_metrics(100))
    assert "replay 100 |" in plain_line(progress, elapsed_s=0.0, left="")


def test_the_live_table_draws_with_and_without_data() -> None:
    console = Console(force_terminal=True, width=120, record=True)
    with LiveConsole(console, title="a-run") as live:
        live.show(RunProgress(), elapsed_s=0.0, left="all")
        live.show(_progress(), elapsed_s=10.0, left="half")
        live.say("hello")
    text = console.export_text()
    for part in ("a-run", "samples per insert", "actor-0", "25.50 s", "hello"):
        assert part in text


def test_actors_that_stand_still_for_the_learner_are_said_to_wait() -> None:
    progress = _progress()
    assert "waiting" not in plain_line(progress, elapsed_s=0.0, left="")
    paced = {"fps": 200.0, "waiting": True}
    progress.hearts = {"actor-0": {"fps": 0.0, "waiting": True}, "actor-1": paced}
    assert "waiting" not in plain_line(progress, elapsed_s=0.0, left="")
    console = Console(force_terminal=True, width=140, record=True)
    with LiveConsole(console, title="a-run") as live:
        live.show(progress, elapsed_s=0.0, left="all")
    assert console.export_text().count("waiting for the learner") == 1
    del progress.hearts["actor-1"]
    line = plain_line(progress, elapsed_s=0.0, left="")
    assert "(0/s, waiting for the learner)" in line


def test_the_first_plain_line_comes_soon_and_then_one_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("deploy.console.time.monotonic", lambda: now[0])
    plain = PlainConsole(Console())
    lines = []
    for second in range(200):
        now[0] = 100.0 + second
        plain.show(RunProgress(), elapsed_s=float(second), left="")
        lines.append(capsys.readouterr().out.count("\n"))
    assert [second for second, count in enumerate(lines) if count] == [10, 70, 130, 190]


def test_critical_changes_are_said_and_the_proven_run_is_silent() -> None:
    assert critical_notice(Config(), preset="proven") == ""
    config = Config.model_validate({"learner": {"target": {"rule": "soft"}}})
    notice = critical_notice(config, preset="proven")
    assert notice.startswith("NOTE:")
    assert "learner.target.rule: hard -> soft" in notice
    failed = load_config(preset="failed-run")
    assert critical_notice(failed, preset="failed-run").startswith("NOTE:")


@pytest.mark.parametrize("preset", FOR_SHORT_RUNS)
def test_the_schedules_of_a_preset_for_short_runs_are_information_and_no_alarm(preset: str) -> None:
    notice = critical_notice(load_config(preset=preset), preset=preset)
    assert "This is intended" in notice
    assert "learner.learning_rate.initial: 0.0001 -> 0.0005" in notice
    assert "NOTE" not in notice
    assert "collapsed" not in notice
    changed = load_config(preset=preset, settings=["learner.target.rule=soft"])
    scaled, alarm = critical_notice(changed, preset=preset).split("NOTE:")
    assert "learner.target.rule" not in scaled
    assert "learner.target.rule: hard -> soft" in alarm
    assert "learning_rate" not in alarm


def test_plots_of_one_and_of_two_runs(tmp_path: Path) -> None:
    folders = []
    for name in ("first", "second"):
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        for file, rows in (
            (folder.metrics_file, [_metrics(100 * i) for i in range(1, 30)]),
            (folder.episodes_file, [_episode(i, 30_000 - i if i % 3 else None) for i in range(1, 90)]),
            (folder.evaluations_file, [_evaluation(5, 29_000.0)]),
        ):  # fmt: skip
            write_text(file, "".join(json.dumps(row) + "\n" for row in rows))
        folders.append(folder)
    for chosen in (folders[:1], folders):
        files = draw_runs(chosen, out=tmp_path / "plots")
        assert [file.stem for file in files] == [
            "q_values", "loss", "reward", "epsilon", "lap_times", "finish_rate",
        ]  # fmt: skip
        for file in files:
            with Image.open(file) as picture:
                assert picture.width > 800
    empty = RunFolder(tmp_path / "empty")
    empty.path.mkdir()
    assert draw_runs([empty], out=tmp_path / "none") == []


def test_a_resumed_run_keeps_its_configuration(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.prepare(Config.model_validate({"seed": 7}))
    plan = make_plan(
        TrainRequest(resume=folder.path, settings=["run.max_minutes=3", "actors.count=2"])
    )
    assert (plan.config.seed, plan.config.run.max_minutes, plan.config.actors.count) == (7, 3.0, 2)
    for request in (
        TrainRequest(resume=folder.path, settings=["learner.batch_size=64"]),
        TrainRequest(resume=folder.path, preset="quickstart"),
        TrainRequest(resume=folder.path, redis_url="redis://127.0.0.1:1/0"),
        TrainRequest(resume=tmp_path / "absent"),
    ):
        with pytest.raises(ConfigError):
            make_plan(request)
