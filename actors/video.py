"""Films a lap as mp4: the game's picture with the overlay, one frame a timestep."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from actors.evaluation import Attempt
from actors.evaluation_report import Lap
from actors.game_contract import Game
from actors.game_link import GameLink
from actors.overlay import HEIGHT, WIDTH, Moment, Overlay, action_label, clock
from actors.policy import Policy, QValues
from common.errors import ConfigError, MachineError
from common.game_config import GameConfig
from common.output_folder import make_output_folder

_Picture = npt.NDArray[np.uint8]
_Write = Callable[[_Picture], None]
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


def replay_lap(env: Game, policy: Policy, *, game: GameConfig, out: Path, lap: Lap) -> Lap:
    """Drives a lap again by its actions, writes it to a file and returns what was driven.

    Args:
        env: made with ``render=True``; it waits between the steps, and the same seed and actions give
            the same lap. Without a picture of its own the camera picture is shown.
        policy: its values are shown.
        game: the config that the game was made from; names the actions.
        out: the mp4; replaced if it is there.
        lap: what to drive.

    Raises:
        ConfigError: the file cannot be a video.
        MachineError: no video can be written here.
    """
    film = _Film(env, game)
    with _video_file(out, fps=film.fps) as write:
        attempt = Attempt(env, env.reset(seed=lap.seed), seed=lap.seed)
        for action in lap.actions:
            _, q_values = policy.greedy(attempt.observation)
            write(film.draw(film.shoot(_picture(env), attempt, action, q_values)))
            attempt.step(action)
        _write_end(write, film, film.shoot(_picture(env), attempt, action, q_values))
    return attempt.lap()


class LiveFilm:
    """Films the attempts of a game that does not wait, and keeps the best.

    Nothing is drawn before all laps are driven: it would make the policy late.

    Args:
        link: the game, made with ``render=True``.
        game: the config that the game was made from; names the actions.
    """

    def __init__(self, link: GameLink, game: GameConfig) -> None:
        self._link = link
        self._film = _Film(link.open(), game)
        self._attempt: Attempt | None = None
        self._shots: list[_Shot] = []
        self._best: tuple[Lap, list[_Shot]] | None = None

    def look(self, attempt: Attempt, action: int, q_values: QValues) -> None:
        """Takes the picture of one timestep."""
        if attempt is not self._attempt:
            self._attempt, self._shots = attempt, []
        # at the end the game may have begun the next race already
        picture = None if attempt.ended else _picture(self._link.open())
        shot = self._film.shoot(picture, attempt, action, q_values)
        if picture is None and self._shots:
            shot = replace(shot, picture=self._shots[-1].picture)
        self._shots.append(shot)
        if attempt.ended:
            lap = attempt.lap()
            if self._best is None or lap.rank < self._best[0].rank:
                self._best = lap, self._shots

    def save(self, out: Path) -> Lap:
        """Writes the best lap and returns it.

        Args:
            out: the mp4; replaced if it is there.

        Raises:
            ConfigError: the file cannot be a video.
            MachineError: no video can be written here.
        """
        assert self._best is not None, "no attempt was driven to its end"
        lap, shots = self._best
        film = self._film
        with _video_file(out, fps=film.fps) as write:
            for shot in shots[:-1]:
                write(film.draw(shot))
            _write_end(write, film, shots[-1])
        return lap


@dataclass(frozen=True, slots=True)
class _Shot:
    """What is seen of one timestep, not drawn yet."""

    picture: npt.NDArray[np.uint8]
    moment: Moment


class _Film:
    """Turns timesteps into frames of one game.

    Args:
        env: the game.
        game: the config that it was made from.
    """

    def __init__(self, env: Game, game: GameConfig) -> None:
        assert isinstance(env.action_space, spaces.Discrete)
        self._is_car = game.drives_car
        self._controls = game.actions
        self._step_s = float(env.metadata.get("step_s", _STEP_S))
        count = int(env.action_space.n)
        labels = [action_label(row) for row in game.actions] if self._is_car else range(count)
        self._overlay = Overlay([str(label) for label in labels])

    @property
    def fps(self) -> int:
        """Frames a second at which the lap plays as fast as it was driven."""
        return max(1, round(1.0 / self._step_s))

    def shoot(
        self, picture: _Picture | None, attempt: Attempt, action: int, q_values: QValues
    ) -> _Shot:
        """Returns what is seen now, and what is done about it; without a picture, what the camera sees."""
        time_ms = attempt.info.get("lap_time_ms")
        features = attempt.observation["features"]
        camera = attempt.observation["image"][-1]
        moment = Moment(
            time_ms=len(attempt.actions) * 1000.0 * self._step_s
            if time_ms is None
            else float(time_ms),
            camera=camera,
            action=action,
            q_values=q_values,
            speed_mps=float(features[_SPEED]) if self._is_car else None,
            gear=int(features[_GEAR]) if self._is_car else None,
            controls=self._controls[action] if self._is_car else None,
            episode_return=attempt.episode_return,
            verdict=_verdict(attempt),
        )
        return _Shot(camera if picture is None else _small(picture), moment)

    def draw(self, shot: _Shot) -> npt.NDArray[np.uint8]:
        """Returns the frame."""
        return self._overlay.draw(shot.picture, shot.moment)


def _write_end(write: _Write, film: _Film, shot: _Shot) -> None:
    """Writes the last frame for as long as it takes to read it."""
    frame = film.draw(shot)
    for _ in range(round(_LAST_FRAME_S * film.fps)):
        write(frame)


def _small(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Returns every pixel, or where there are more than a frame can show every second, third, ..."""
    stride = -(-picture.shape[1] // WIDTH)
    return np.ascontiguousarray(picture[::stride, ::stride])


def _picture(env: Game) -> _Picture | None:
    """Returns what the game renders; None where it does not, as ``gymnasium.Env`` itself does not."""
    try:
        rendered = env.render()
    except NotImplementedError:
        return None
    return rendered if isinstance(rendered, np.ndarray) else None


def _verdict(attempt: Attempt) -> str:
    """Returns what is written over the last frame."""
    if not attempt.ended:
        return ""
    if attempt.info.get("finished"):
        return f"FINISH  {clock(float(attempt.info['lap_time_ms']))}"
    return attempt.reason.replace("_", " ")


@contextmanager
def _video_file(out: Path, *, fps: int) -> Generator[_Write]:
    """Opens an mp4 and gives the function that writes a frame to it; it appears when it is whole."""
    check_video_file(out)
    beside = out.with_name(f".{out.stem}.{os.getpid()}{_SUFFIX}")
    try:
        video = imageio_ffmpeg.write_frames(
            str(beside), (WIDTH, HEIGHT), fps=fps, codec="libx264", quality=6, macro_block_size=8
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
            raise _unwritable(out, f"ffmpeg stopped: {_complaint(error)}") from error

    try:
        try:
            yield write
        finally:
            video.close()
        if not (beside.exists() and beside.stat().st_size):
            raise _unwritable(out, "ffmpeg left nothing behind")
        beside.replace(out)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _unwritable(out: Path, why: str) -> MachineError:
    return MachineError(
        f"The video {out} cannot be written.",
        why,
        "see that its folder can be written and its disk is not full (df -h)",
    )


def _complaint(error: OSError) -> str:
    """Returns the last line of ffmpeg's words that imageio quotes, or the system's own."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in reversed(lines) if line and line.isprintable()), repr(error))
