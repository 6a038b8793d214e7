"""Films a lap as mp4: the game's picture with the overlay, one frame a timestep."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from actors.evaluation import Attempt, Lap
from actors.game_contract import Game
from actors.overlay import HEIGHT, WIDTH, Moment, Overlay, action_label, clock
from actors.policy import Policy
from common.errors import ConfigError, MachineError
from common.game_config import GameConfig
from common.output_folder import make_output_folder

_FPS = 20
_STEP_S = 0.05
_LAST_FRAME_S = 2.0
_SUFFIX = ".mp4"
_SPEED, _GEAR = 0, 1


def check_video_file(out: Path) -> None:
    """Checks where a video shall go, before a lap is driven for it.

    Args:
        out: the mp4; its folder is made.

    Raises:
        ConfigError: it is no mp4, or a folder.
        MachineError: its folder cannot be made.
    """
    if out.suffix.lower() != _SUFFIX or out.is_dir():
        raise ConfigError(
            f"No video can be written to {str(out)!r}.",
            "it is a folder" if out.is_dir() else f"a video's name ends in {_SUFFIX}",
            f"name a file, for instance {out / 'lap.mp4' if out.is_dir() else out.with_suffix(_SUFFIX)}",
        )
    make_output_folder(out.parent)


def record_lap(
    env: Game,
    policy: Policy,
    *,
    game: GameConfig,
    out: Path,
    seed: int,
    actions: Sequence[int] | None = None,
) -> Lap:
    """Drives one lap, writes it to a file and returns its record.

    Args:
        env: made with ``render=True``; without a picture of its own the camera picture is shown.
        policy: drives greedily, and its values are shown.
        game: the config that the game was made from; names the actions.
        out: the mp4; replaced if it is there.
        seed: seed of the reset.
        actions: a recorded lap's actions, to drive it again exactly; None lets the policy drive.

    Raises:
        ConfigError: the file cannot be a video.
        MachineError: no video can be written here.
    """
    film = _Film(env, game)
    with _video_file(out) as write:
        attempt = Attempt(env, seed=seed)
        while not attempt.ended and (actions is None or len(attempt.actions) < len(actions)):
            greedy, q_values = policy.greedy(attempt.observation)
            action = greedy if actions is None else actions[len(attempt.actions)]
            write(film.frame(attempt, action, q_values))
            attempt.step(action)
        last = film.frame(attempt, action, q_values)
        for _ in range(round(_LAST_FRAME_S * _FPS)):
            write(last)
    return attempt.lap()


class _Film:
    """Turns timesteps into frames of one game.

    Args:
        env: asked for its picture.
        game: the config that it was made from.
    """

    def __init__(self, env: Game, game: GameConfig) -> None:
        assert isinstance(env.action_space, spaces.Discrete)
        self._env = env
        self._is_car = game.name == "sim"
        self._controls = game.actions
        self._step_ms = 1000.0 * float(env.metadata.get("step_s", _STEP_S))
        count = int(env.action_space.n)
        labels = [action_label(row) for row in game.actions] if self._is_car else range(count)
        self._overlay = Overlay([str(label) for label in labels])

    def frame(
        self, attempt: Attempt, action: int, q_values: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.uint8]:
        """Returns the frame of one timestep: what is seen and what is done about it."""
        time_ms = attempt.info.get("lap_time_ms")
        features = attempt.observation["features"]
        camera = attempt.observation["image"][-1]
        picture = _picture(self._env)
        moment = Moment(
            time_ms=len(attempt.actions) * self._step_ms if time_ms is None else float(time_ms),
            camera=camera,
            action=action,
            q_values=q_values,
            speed_mps=float(features[_SPEED]) if self._is_car else None,
            gear=int(features[_GEAR]) if self._is_car else None,
            controls=self._controls[action] if self._is_car else None,
            episode_return=attempt.episode_return,
            verdict=_verdict(attempt),
        )
        shown = picture if isinstance(picture, np.ndarray) else camera
        return self._overlay.draw(shown, moment)


def _picture(env: Game) -> object:
    """Returns what the game renders; None where it does not, as ``gymnasium.Env`` itself does not."""
    try:
        return env.render()
    except NotImplementedError:
        return None


def _verdict(attempt: Attempt) -> str:
    """Returns what is written over the last frame."""
    if not attempt.ended:
        return ""
    if attempt.info.get("finished"):
        return f"FINISH  {clock(float(attempt.info['lap_time_ms']))}"
    return attempt.reason.replace("_", " ")


@contextmanager
def _video_file(out: Path) -> Generator[Callable[[npt.NDArray[np.uint8]], None]]:
    """Opens an mp4 and gives the function that writes a frame to it."""
    check_video_file(out)
    try:
        video = imageio_ffmpeg.write_frames(
            str(out), (WIDTH, HEIGHT), fps=_FPS, codec="libx264", quality=6, macro_block_size=8
        )
        video.send(None)
    except (OSError, RuntimeError) as error:
        raise MachineError(
            f"The video {out} cannot be written.",
            f"ffmpeg does not start here ({error}).",
            "pip install --force-reinstall imageio-ffmpeg",
        ) from error

    def write(frame: npt.NDArray[np.uint8]) -> None:
        try:
            video.send(frame)
        except OSError as error:  # ffmpeg is gone; its own words are many lines
            raise MachineError(
                f"The video {out} cannot be written.",
                f"ffmpeg stopped: {_complaint(error)}",
                "see that its folder can be written and its disk is not full (df -h)",
            ) from error

    try:
        yield write
    finally:
        video.close()


def _complaint(error: OSError) -> str:
    """Returns the last line of ffmpeg's words that imageio quotes, or the system's own."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in reversed(lines) if line and line.isprintable()), repr(error))
