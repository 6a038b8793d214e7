"""Evaluating and filming checkpoints from the command line, in the simulation and on the stand-in."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from actors.games import game_spec, make_game
from actors.overlay import HEIGHT, WIDTH
from common.config import Config, EvaluationConfig, NetworkConfig
from common.game_config import GameConfig
from common.network import network_for
from common.policy_file import link_folder, save_policy
from deploy import cli

# A shell that runs the tests in the background has its children ignore SIGINT.
INTERRUPTIBLE = """
import signal, sys
from deploy.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
SHORT = GameConfig(max_episode_steps=40, options={"stuck_steps": 20})


def run_folder(
    folder: Path,
    *,
    game: GameConfig = SHORT,
    versions: tuple[int, ...] = (7,),
    start_jitter: float = 0.1,
) -> Path:
    """A run with checkpoints of untrained networks, the last of them the best."""
    config = Config(
        game=game,
        network=NetworkConfig(feature_hidden=16, hidden=16),
        evaluation=EvaluationConfig(start_jitter=start_jitter),
    )
    env = make_game(game, training=False, seed=None)
    spec = game_spec(env, game)
    env.close()
    for version in versions:
        checkpoint = folder / "checkpoints" / f"step-{version:09d}"
        tensors = network_for(spec, config).state_dict()
        save_policy(checkpoint, tensors, spec=spec, config=config, facts={"param_version": version})
        link_folder(folder / "checkpoints" / "best", checkpoint)
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main([*arguments, "--json"]) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def last_frame(video: Path) -> npt.NDArray[np.uint8]:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    raw = subprocess.run(
        [
            *(program, "-v", "error", "-sseof", "-1", "-i", str(video), "-frames:v", "1"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
        ],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(HEIGHT, WIDTH, 3)


def test_every_checkpoint_of_a_run_gets_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path / "run", versions=(7, 11, 8))
    arguments = ("evaluate", str(run), "--all-checkpoints", "--episodes", "2")
    values = printed(capsys, *arguments)
    assert [one["param_version"] for one in values["evaluations"]] == [7, 8, 11]
    assert all(one["episodes"] == 2 for one in values["evaluations"])
    assert cli.main(list(arguments)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["checkpoint", "finished", "best"]
    assert [line.split()[0] for line in lines[1:]] == [
        "step-000000007",
        "step-000000008",
        "step-000000011",
    ]


def test_checkpoints_of_several_runs_are_named_by_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(run_folder(tmp_path / name)) for name in ("first", "second")]
    assert cli.main(["evaluate", *runs, "--episodes", "1"]) == 0
    out = capsys.readouterr().out
    assert "first/step-000000007" in out
    assert "second/step-000000007" in out


def test_each_run_starts_as_its_own_evaluation_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        str(run_folder(tmp_path / f"jitter-{jitter}", start_jitter=jitter)) for jitter in (1.0, 0.0)
    ]
    words = ("--episodes", "3", "--seed", "5")
    alone = [printed(capsys, "evaluate", run, *words)["laps"] for run in runs]
    together = printed(capsys, "evaluate", *runs, *words)["evaluations"]
    assert alone[0] != alone[1]
    assert [one["laps"] for one in together] == alone


def test_one_checkpoint_prints_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path / "run")
    assert cli.main(["evaluate", str(run), "--episodes", "2"]) == 0
    out = capsys.readouterr().out
    assert "finished     0 of 2 (0 %)" in out
    assert "spread       -, standard deviation -" in out
    assert re.search(r"^ends         \w+ \d", out, re.MULTILINE)
    assert "m the furthest" in out
    values = printed(capsys, "evaluate", str(run), "--episodes", "2")
    assert values["faults"] == {}
    assert len(values["laps"]) == 2
    assert "split_times_ms" in values["laps"][0]


def test_after_an_interrupt_the_laps_so_far_are_reported(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    with subprocess.Popen(
        [
            *(sys.executable, "-c", INTERRUPTIBLE),
            *("evaluate", str(run), "--episodes", "5000", "--json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stderr is not None
        said = ""
        while not re.match(r"3 of 5000: \w+ at \d+ m", said):
            said = command.stderr.readline()
            assert said, "it ended before its third lap"
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
    values = json.loads(out)
    assert command.returncode == 130
    assert values["interrupted"]
    assert 3 <= values["episodes"] < 5000
    assert sum(values["end_reasons"].values()) == values["episodes"]
    assert f"Interrupted after {values['episodes']} of 5000 laps." in err


def test_a_video_says_that_it_replaced_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, video = run_folder(tmp_path / "run"), tmp_path / "lap.mp4"
    for said in ("written", "overwritten"):
        assert cli.main(["record", str(run), "--out", str(video)]) == 0
        captured = capsys.readouterr()
        assert captured.out.strip() == str(video)
        assert f"\n{said}: {video} (" in captured.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "CHECKPOINTS"),
        (("RUN", "RUN", "--video", "lap.mp4"), "one checkpoint"),
        (("RUN", "--game", "tm20"), "reward_line"),
        (("RUN", "--set", "game.nothing=1"), "game.nothing"),
        (("RUN", "--set", "game.image_size=32"), "was trained on"),
        (("nowhere",), "no checkpoint"),
    ],
)
def test_what_cannot_be_evaluated(
    arguments: tuple[str, ...], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(run_folder(tmp_path / "run"))
    words = [run if word == "RUN" else word for word in arguments]
    assert cli.main(["evaluate", *words]) in {2, 5}
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.out == ""


def test_a_setting_changes_the_game_that_is_driven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(run_folder(tmp_path / "run"))
    arguments = ("evaluate", run, "--set", "game.max_episode_steps=10", "--episodes", "1")
    assert printed(capsys, *arguments)["laps"][0]["steps"] == 10


@pytest.mark.display
def test_what_learned_in_the_simulation_is_filmed_on_the_stand_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = run_folder(tmp_path / "run"), tmp_path / "lap.mp4"
    arguments = ["evaluate", str(run), "--game", "standin", "--episodes", "2"]
    arguments += ["--set", "game.trackmania.grace_steps=20", "--video", str(out)]
    values = printed(capsys, *arguments)
    assert values["episodes"] == 2
    assert all(lap["steps"] > 20 for lap in values["laps"])
    assert {lap["reason"] for lap in values["laps"]} <= {"stuck", "off_line", "time_limit"}
    frame = last_frame(out).astype(int)
    sky = frame[120, 600]
    assert sky[2] > sky[0] + 30, "the window's sky is blue"
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".mp4"] == ["lap.mp4"]
