"""A filmed lap is an mp4 of the right length whose frames show something."""

import gc
import re
import subprocess
import threading
from pathlib import Path
from typing import Any, ClassVar

import imageio_ffmpeg
import numpy as np
import pytest

from actors.evaluation import drive_lap, evaluate
from actors.game_link import GameLink
from actors.games import game_spec, make_game
from actors.overlay import HEIGHT, WIDTH, Overlay, action_label, clock
from actors.policy import Policy
from actors.video import LiveFilm, replay_lap
from common.config import Config, NetworkConfig
from common.errors import MachineError
from common.game_config import GameConfig
from common.network import network_for
from tests.support.tiny_games import Corridor


def film(game: GameConfig, out: Path, *, render: bool) -> int:
    """Films a greedy lap twice, live and from its actions; returns its steps."""
    config = Config(game=game, network=NetworkConfig(feature_hidden=16, hidden=16))
    env = make_game(game, training=False, seed=None, render=render)
    spec = game_spec(env, game)
    policy = Policy(network_for(spec, config), spec, config.exploration, np.random.default_rng(0))
    policy.install(param_version=0)
    lap = drive_lap(policy, GameLink(lambda: env, stop=threading.Event()), seed=3)
    assert lap is not None
    assert replay_lap(env, policy, game=game, out=out, lap=lap) == lap
    env.close()
    return len(lap.actions)


def frames_of(video: Path) -> list[np.ndarray]:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    raw = subprocess.run(
        [program, "-v", "error", "-i", str(video), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3))


def test_the_simulation_is_filmed(tmp_path: Path) -> None:
    out = tmp_path / "films" / "lap.mp4"
    steps = film(GameConfig(max_episode_steps=12), out, render=True)
    frames = frames_of(out)
    assert len(frames) == steps + 40
    sky, road = frames[5][150, 640].astype(int), frames[5][640, 900].astype(int)
    assert sky[2] > sky[0] + 30
    assert abs(road - road.mean()).max() < 30


def test_a_game_without_a_picture_shows_its_camera(tmp_path: Path) -> None:
    game = GameConfig(name="tests.support.tiny_games:featureless", max_episode_steps=5)
    out = tmp_path / "lap.mp4"
    film(game, out, render=False)
    assert frames_of(out)[0].max() > 200


def test_a_game_that_defines_no_render_shows_its_camera(tmp_path: Path) -> None:
    game = GameConfig(name="tests.support.tiny_games:unseen", max_episode_steps=5)
    out = tmp_path / "lap.mp4"
    film(game, out, render=True)
    assert frames_of(out)[0].max() > 200


def test_the_file_plays_everywhere(tmp_path: Path) -> None:
    """Browsers and phones want yuv420p H.264."""
    out = tmp_path / "lap.mp4"
    game = GameConfig(name="tests.support.tiny_games:corridor", max_episode_steps=3)
    film(game, out, render=True)
    shown = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(out)], capture_output=True, check=False
    ).stderr.decode()
    assert re.search(r"h264 .*yuv420p", shown)


def greedy_policy(game: GameConfig) -> Policy:
    config = Config(game=game, network=NetworkConfig(feature_hidden=16, hidden=16))
    env = make_game(game, training=False, seed=None)
    spec = game_spec(env, game)
    policy = Policy(network_for(spec, config), spec, config.exploration, np.random.default_rng(0))
    policy.install(param_version=0)
    env.close()
    return policy


class Unwaiting(Corridor):
    """A corridor of 25 steps a second that claims not to wait for anybody."""

    metadata: ClassVar[dict[str, Any]] = {**Corridor.metadata, "real_time": True, "step_s": 0.04}

    def __init__(self) -> None:
        super().__init__(length=6, stuck_after=9, render_mode="rgb_array")


def test_a_game_that_does_not_wait_is_filmed_while_it_is_driven(tmp_path: Path) -> None:
    game = GameConfig(name="tests.support.tiny_games:corridor")
    link = GameLink(Unwaiting, stop=threading.Event())
    film = LiveFilm(link, game)
    report = evaluate(greedy_policy(game), link, episodes=3, seed=1, spectator=film)
    assert report is not None
    out = tmp_path / "lap.mp4"
    assert film.save(out) == report.best_lap
    link.close()
    assert len(frames_of(out)) == len(report.best_lap.actions) + 2 * 25
    assert [file.name for file in tmp_path.iterdir()] == ["lap.mp4"]


class Blinking(Unwaiting):
    """Its picture is away from the third step on."""

    def render(self) -> Any:
        return super().render() if self.steps < 2 else None


def test_where_the_picture_is_lost_the_film_shows_the_last_one(tmp_path: Path) -> None:
    game = GameConfig(name="tests.support.tiny_games:corridor")
    link = GameLink(Blinking, stop=threading.Event())
    film = LiveFilm(link, game)
    report = evaluate(greedy_policy(game), link, episodes=1, seed=1, spectator=film)
    assert report is not None
    film.save(tmp_path / "lap.mp4")
    link.close()
    second, *rest = frames_of(tmp_path / "lap.mp4")[1:]
    left_edge = slice(0, 40)
    assert len(rest) > 2
    for frame in rest:
        assert abs(frame[300:420, left_edge].mean() - second[300:420, left_edge].mean()) < 3.0


def test_a_film_makes_its_overlay_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(Overlay):
        def __init__(self, labels: list[str]) -> None:
            made.append(labels)
            super().__init__(labels)

    monkeypatch.setattr("actors.video.Overlay", Counted)
    game = GameConfig(name="tests.support.tiny_games:corridor")
    link = GameLink(Unwaiting, stop=threading.Event())
    film = LiveFilm(link, game)
    assert evaluate(greedy_policy(game), link, episodes=2, seed=1, spectator=film) is not None
    film.save(tmp_path / "lap.mp4")
    link.close()
    assert len(made) == 1


def test_a_film_that_broke_leaves_no_file(tmp_path: Path) -> None:
    game = GameConfig(name="tests.support.tiny_games:corridor", options={"stuck_after": 9})
    lap = drive_lap(
        greedy_policy(game),
        GameLink(lambda: make_game(game, training=False, seed=None), stop=threading.Event()),
        seed=0,
    )
    assert lap is not None
    env = make_game(game.model_copy(update={"options": {"fault_at": 3}}), training=False, seed=None)
    with pytest.raises(ConnectionResetError):
        replay_lap(env, greedy_policy(game), game=game, out=tmp_path / "lap.mp4", lap=lap)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("time_ms", "text"), [(0.0, "0:00.000"), (20_932.0, "0:20.932"), (62_350.4, "1:02.350")]
)
def test_clock(time_ms: float, text: str) -> None:
    assert clock(time_ms) == text


def test_every_proven_action_has_a_name_of_its_own() -> None:
    labels = [action_label(row) for row in GameConfig().actions]
    assert labels[:3] == ["coast", "gas", "gas + left"]
    assert len(set(labels)) == 11


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio leaves its pipe open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the same
def test_a_video_that_ffmpeg_cannot_write_is_an_error_of_three_lines() -> None:
    game = GameConfig(name="tests.support.tiny_games:featureless", max_episode_steps=50)
    text = ""
    try:
        film(game, Path("/proc/self/lap.mp4"), render=False)
    except MachineError as error:
        text = str(error)
    assert "cannot be written" in text
    assert text.count("\n") == 2
    gc.collect()  # here, where the pipe that imageio leaves open is expected
