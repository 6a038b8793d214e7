"""Laps through the real tmrl against the stand-in, by a pilot that sees only the camera."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.game_contract import GameFaultError, check_spaces
from actors.game_link import GameLink
from actors.games import make_game
from actors.sim.catalogue import load_track
from actors.standin.rig import StandInRig
from actors.trackmania.env import TrackmaniaEnv
from actors.trackmania.env_process import EnvProcess
from actors.trackmania.game_host import OwnStandIn
from actors.trackmania.reward_line import RewardLine, save_line
from actors.trackmania.tmrl_home import write_home
from actors.trackmania.tmrl_reward import HighWaterReward
from common.errors import MachineError
from common.game_config import GameConfig, TrackmaniaConfig
from tests.support.actor_run import until
from tests.support.camera_pilot import CameraPilot

pytestmark = pytest.mark.display

GAS = 1
TRACK = "first-lap"
FRAME_MS = 1000.0 / 60.0
WAKING_MS = 10.0
"""By how much a shared machine may be late to read what marks the start, or the finish."""


@dataclass
class DrivenLap:
    """What one attempt gave, and what the game itself said of it."""

    steps: int
    episode_return: float
    info: dict[str, Any]
    terminated: bool
    game_lap_ms: float | None
    images: list[np.ndarray]
    features: list[np.ndarray]


def drive_lap(link: GameLink, rig: StandInRig) -> DrivenLap:
    """Drives one attempt and reads the game's own clock beside it."""
    started = link.reset()
    assert started is not None
    observation, _ = started
    pilot = CameraPilot()
    lap = DrivenLap(0, 0.0, {}, False, None, [observation["image"]], [observation["features"]])
    over = threading.Event()

    def read_clock() -> None:
        while not over.wait(0.01):
            status = rig.control.status()
            if status["state"] == "finished":
                lap.game_lap_ms = status["lap_time_ms"]

    reader = threading.Thread(target=read_clock)
    reader.start()
    try:
        _drive(link, pilot, lap, observation)
    finally:
        over.set()
        reader.join()
    return lap


def _drive(link: GameLink, pilot: CameraPilot, lap: DrivenLap, observation: Any) -> None:
    ended = False
    while not ended:
        observation, reward, lap.terminated, truncated, lap.info = link.step(
            pilot.choose(observation["image"])
        )
        ended = lap.terminated or truncated
        lap.steps += 1
        lap.episode_return += reward
        lap.images.append(observation["image"])
        lap.features.append(observation["features"])


def drive_on(link: GameLink) -> None:
    for _ in range(60):
        link.step(GAS)


@pytest.fixture(scope="module")
def env() -> Iterator[TrackmaniaEnv]:
    game = make_game(GameConfig(name="standin", track=TRACK), training=True, seed=None, render=True)
    assert isinstance(game, TrackmaniaEnv)
    yield game
    game.close()


@pytest.fixture(scope="module")
def link(env: TrackmaniaEnv) -> GameLink:
    return GameLink(lambda: env, stop=threading.Event())


@pytest.fixture(scope="module")
def lap(env: TrackmaniaEnv, link: GameLink) -> DrivenLap:
    assert link.reset() is not None
    assert isinstance(env.host, OwnStandIn)
    return drive_lap(link, env.host.rig)


def test_a_pilot_that_sees_only_the_camera_finishes(lap: DrivenLap) -> None:
    assert (lap.info["end_reason"], lap.info["finished"], lap.terminated) == ("finish", True, True)
    length_m = RewardLine.from_track(load_track(TRACK)).length_m
    assert lap.info["progress_m"] == pytest.approx(length_m, abs=5.0)
    assert lap.episode_return == pytest.approx(length_m / 10.0, abs=0.5)


def test_the_lap_time_is_the_game_s_own_to_about_a_frame(lap: DrivenLap) -> None:
    assert lap.game_lap_ms is not None
    assert abs(lap.info["lap_time_ms"] - lap.game_lap_ms) <= FRAME_MS + WAKING_MS


def test_split_times_come_in_order_before_the_lap_time(lap: DrivenLap) -> None:
    splits = lap.info["split_times_ms"]
    assert len(splits) == 2
    assert 0.0 < splits[0] < splits[1] < lap.info["lap_time_ms"]


def test_the_observation_is_the_contract_s(env: TrackmaniaEnv, lap: DrivenLap) -> None:
    check_spaces("standin", env)
    for image, features in zip(lap.images, lap.features, strict=True):
        assert env.observation_space.contains({"image": image, "features": features})
    for before, after in zip(lap.images, lap.images[1:], strict=False):
        np.testing.assert_array_equal(before[1:], after[:-1])
    speeds = [features[0] for features in lap.features]
    assert 15.0 < max(speeds) < 60.0  # m/s, raw
    assert max(features[2] for features in lap.features) > 1000.0  # rpm, raw


def test_steps_keep_the_game_s_time(lap: DrivenLap) -> None:
    driven_s = lap.steps * 0.05
    assert driven_s == pytest.approx(lap.info["lap_time_ms"] / 1000.0, abs=2.0)


def test_a_car_that_stands_still_ends_as_stuck(env: TrackmaniaEnv, link: GameLink) -> None:
    assert link.reset() is not None
    steps, ended = 0, False
    while not ended:
        _, _, terminated, truncated, info = link.step(0)
        ended = terminated or truncated
        steps += 1
    assert (info["end_reason"], terminated, info["finished"]) == ("stuck", True, False)
    assert info["lap_time_ms"] is None
    assert steps == pytest.approx(71, abs=2)
    assert env.restarts == 0


def test_the_picture_is_the_game_s_window(env: TrackmaniaEnv, link: GameLink) -> None:
    assert link.reset() is not None
    picture = env.render()
    assert picture is not None
    assert picture.shape == (128, 256, 3)
    assert picture.std() > 10.0


def test_a_tmrl_that_stops_importing_later_is_a_fault_like_any_other(
    env: TrackmaniaEnv, link: GameLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert link.reset() is not None
    with monkeypatch.context() as broken:
        (tmp_path / "tmrl.py").write_text("raise ImportError('a disk that sleeps')\n")
        broken.setenv("PYTHONPATH", str(tmp_path))
        os.kill(env.child_pid, signal.SIGKILL)
        with pytest.raises(GameFaultError, match="child_died"):
            drive_on(link)
        until(lambda: cause_of_a_reset(env) == "tmrl_missing")
    assert link.reset() is not None
    link.step(GAS)


def cause_of_a_reset(env: TrackmaniaEnv) -> str:
    try:
        env.reset()
    except GameFaultError as fault:
        return fault.cause
    return ""


def test_a_time_limit_truncates() -> None:
    game = make_game(
        GameConfig(name="standin", track=TRACK, max_episode_steps=12), training=True, seed=None
    )
    link = GameLink(lambda: game, stop=threading.Event())
    assert link.reset() is not None
    for _ in range(11):
        assert link.step(GAS)[2:4] == (False, False)
    _, _, terminated, truncated, info = link.step(GAS)
    link.close()
    assert (terminated, truncated, info["end_reason"]) == (False, True, "time_limit")


def test_the_user_s_game_is_driven_the_same_way_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vgamepad.py").write_text("from actors.standin.virtual_gamepad import *\n")
    save_line(RewardLine.from_track(load_track("generated:1")), tmp_path / "other.npz")
    save_line(RewardLine.from_track(load_track(TRACK)), tmp_path / "first.npz")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with StandInRig(TRACK, folder=tmp_path / "game") as rig:
        for name, value in rig.environment().items():
            monkeypatch.setenv(name, value)
        options = TrackmaniaConfig(
            telemetry_port=rig.telemetry_port,
            reward_line=str(tmp_path),
            screen_x_offset=0,
            screen_y_offset=0,
        )
        game = make_game(GameConfig(name="tm20", trackmania=options), training=True, seed=None)
        link = GameLink(lambda: game, stop=threading.Event())
        assert link.reset() is not None
        paid = sum(float(link.step(GAS)[1]) for _ in range(60))
        assert paid > 1.0
        rig.control.fault("close")
        with pytest.raises(GameFaultError, match="telemetry_closed"):
            drive_on(link)
        back = threading.Thread(target=link.reset)
        back.start()
        until(lambda: link.state == "telemetry_refused")
        rig.restart_game()
        back.join(60.0)
        assert link.state == "driving"
        assert link.step(GAS)[2:4] == (False, False)
        link.close()
        assert rig.game_alive  # the user's game is the user's


def test_a_tmrl_that_does_not_import_is_said_once_and_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmrl.py").write_text("raise ImportError('no rtgym here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    game = make_game(GameConfig(name="standin", track=TRACK), training=True, seed=None)
    link = GameLink(lambda: game, stop=threading.Event())
    with pytest.raises(MachineError, match="does not import") as caught:
        link.reset()
    link.close()
    assert "no rtgym here" in caught.value.why
    assert "pip install" in caught.value.fix


def test_what_tmrl_raises_is_told_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmrl.py").write_text("raise RuntimeError('the folder is odd')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child = EnvProcess(GameConfig(name="standin"))

    def reports() -> bool:
        child.check()
        return False

    with pytest.raises(GameFaultError) as caught:
        until(reports)
    child.kill()
    assert (caught.value.cause, caught.value.detail) == (
        "tmrl_raised",
        "RuntimeError: the folder is odd",
    )


_THEIRS = """
import json, sys
import numpy as np
from tmrl.custom.tm.utils.compute_reward import RewardFunction
import tmrl.config.config_constants as cfg
r = RewardFunction(cfg.REWARD_PATH, nb_obs_forward=500, nb_obs_backward=10,
                   nb_zero_rew_before_failure=10, min_nb_steps_before_failure=70,
                   max_dist_from_traj=100.0)
print("PAID", sum(r.compute_reward(pos=p)[0] for p in np.load(sys.argv[1])))
"""


def test_wiggling_pays_in_tmrl_and_not_here(tmp_path: Path) -> None:
    x = np.arange(0.0, 100.05, 0.1)
    line = np.column_stack([x, np.zeros(len(x)), np.zeros(len(x))])
    phases = np.arange(2000) * 2.0 * np.pi / 40.0
    wiggle = np.column_stack([30.0 + 4.5 * np.sin(phases), np.zeros(2000), np.zeros(2000)])
    write_home(tmp_path, GameConfig(name="tm20"))
    line.dump(tmp_path / "TmrlData" / "reward" / "reward.pkl")
    np.save(tmp_path / "wiggle.npy", wiggle)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _THEIRS, str(tmp_path / "wiggle.npy")],
        env={**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = float(done.stdout.split("PAID")[1])
    ours = HighWaterReward()
    ours(
        reward_data_path="",
        nb_obs_forward=500,
        nb_obs_backward=10,
        nb_zero_rew_before_failure=10,
        min_nb_steps_before_failure=70,
        max_dist_from_traj=100.0,
    )
    ours.follow(line)
    ours.reset()
    paid = sum(ours.compute_reward(position)[0] for position in wiggle)
    assert theirs > 10.0  # more than the whole line pays
    assert paid == pytest.approx(34.5 / 10.0, abs=0.02)
