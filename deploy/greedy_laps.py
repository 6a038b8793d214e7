"""Opens a checkpoint, drives greedily with it, and films the best lap."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actors.evaluation import OnLap, evaluate
from actors.evaluation_report import EvaluationReport, Lap
from actors.game_contract import Game
from actors.game_link import GameLink
from actors.games import game_spec, make_game
from actors.policy import Policy
from actors.process_setup import share_the_machine
from actors.video import LiveFilm, replay_lap
from common.errors import ConfigError, MismatchError
from common.game_config import GameConfig
from common.game_spec import GameSpec
from common.policy_file import STATE, StoredPolicy, load_policy
from deploy.config_file import changed_config
from deploy.ignored_settings import ignored_settings

_PATIENCE_S = 120.0
_PREFERRED = ("checkpoints/best", "checkpoints/latest", "best", "latest")


@dataclass(slots=True)
class Driver:
    """A policy from disk and the game that it shall drive.

    Attributes:
        folder: the checkpoint.
        stored: what the checkpoint holds.
        game: the game, as trained or as asked for.
    """

    folder: Path
    stored: StoredPolicy
    game: GameConfig
    _film: LiveFilm | None = None

    @property
    def game_key(self) -> tuple[str, float, GameSpec]:
        """What drivers have in common that may drive one game: config, jitter of the start, shapes."""
        return self.game.model_dump_json(), self._start_jitter, self.stored.spec

    def open(self, *, film: bool = False) -> GameLink:
        """Returns the game, not started yet; drivers with the same ``game_key`` may share it.

        Args:
            film: whether it shall show pictures.
        """
        return GameLink(
            lambda: self._game(render=film), stop=threading.Event(), patience_s=_PATIENCE_S
        )

    def evaluate(
        self,
        *,
        episodes: int,
        seed: int,
        film: bool = False,
        link: GameLink | None = None,
        on_lap: OnLap | None = None,
    ) -> EvaluationReport:
        """Drives the attempts and returns the report.

        Args:
            episodes: attempts.
            seed: seed of the starts.
            film: whether ``record`` shall be called: a game that does not wait is filmed right away.
            link: the game that ``open`` returned and that stays open; None opens one for this.
            on_lap: takes the report of the attempts so far, after each.
        """
        used = link or self.open(film=film)
        try:
            real_time = bool(used.open().metadata.get("real_time", False))
            self._film = LiveFilm(used, self.game) if film and real_time else None
            report = evaluate(
                self._policy(),
                used,
                episodes=episodes,
                seed=seed,
                spectator=self._film,
                on_lap=on_lap,
            )
        finally:
            if link is None:
                used.close()
        assert report is not None, "nobody stops this link"
        return report

    def record(self, out: Path, *, lap: Lap) -> Lap:
        """Writes a lap as a video: what was filmed, or the lap driven again by its actions.

        Args:
            out: the mp4.
            lap: the best lap of this driver's last report.
        """
        if self._film is not None:
            return self._film.save(out)
        env = self._game(render=True)
        try:
            return replay_lap(env, self._policy(), game=self.game, out=out, lap=lap)
        finally:
            env.close()

    @property
    def _start_jitter(self) -> float:
        return self.stored.config.evaluation.start_jitter

    def _policy(self) -> Policy:
        stored = self.stored
        policy = Policy(
            stored.network, stored.spec, stored.config.exploration, np.random.default_rng(0)
        )
        policy.install(param_version=int(stored.state.get("param_version", -1)))
        return policy

    def _game(self, *, render: bool) -> Game:
        env = make_game(
            self.game,
            training=False,
            seed=None,
            render=render,
            evaluation_jitter=self._start_jitter,
        )
        spec = game_spec(env, self.game)
        if spec != self.stored.spec:
            env.close()
            raise MismatchError(
                f"The checkpoint {self.folder} cannot drive {self.game.name}.",
                f"it was trained on {self.stored.spec} and this game shows {spec}",
                "leave --game away, or train on that game",
            )
        return env


def open_driver(
    path: Path,
    *,
    game: str | None = None,
    track: str | None = None,
    settings: Sequence[str] = (),
) -> Driver:
    """Returns the driver in a checkpoint, a folder of checkpoints, or a run; says what it ignores.

    Args:
        path: in a run the best checkpoint is taken, else the latest.
        game: another game to drive; one of ours drives with what another of ours learned.
        track: another track to drive.
        settings: ``game.key=value`` texts.

    Raises:
        ConfigError: there is no checkpoint, or a setting is wrong.
        CorruptError: it is damaged.
    """
    share_the_machine(nice=0)
    folder = find_checkpoint(path)
    stored = load_policy(folder)
    tree = stored.config.model_dump(mode="json")
    if game is not None and game != stored.config.game.name:
        tree["game"] |= {"name": game, "options": {}}
    if track is not None:
        tree["game"]["track"] = track
    chosen = changed_config(tree, settings).game
    for ignored in ignored_settings(chosen, track=track, settings=settings):
        sys.stderr.write(f"ignored: {ignored}\n")
    return Driver(folder, stored, chosen)


def all_checkpoints(path: Path) -> list[Path]:
    """Returns the checkpoints in a run or a folder, the oldest first, each once.

    Raises:
        ConfigError: there is none.
    """
    for folder in (path / "checkpoints", path):
        found = sorted({state.parent.resolve() for state in folder.glob(f"*/{STATE}")})
        if found:
            return sorted(found, key=lambda checkpoint: checkpoint.name.rpartition("-")[2])
    return [find_checkpoint(path)]


def find_checkpoint(path: Path) -> Path:
    """Returns the checkpoint folder that a path means.

    Raises:
        ConfigError: there is none.
    """
    for candidate in (path, *[path / name for name in _PREFERRED]):
        if (candidate / STATE).is_file():
            return candidate.resolve()
    raise ConfigError(
        f"There is no checkpoint in {str(path)!r}.",
        f"neither it nor {', '.join(_PREFERRED[:2])} in it holds a {STATE}",
        "name a run or a checkpoint: apexmania runs list",
    )
