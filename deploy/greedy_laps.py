"""Opens a checkpoint, drives greedily with it, and films the best lap."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actors.evaluation import EvaluationReport, Lap, evaluate
from actors.game_contract import Game
from actors.games import game_spec, make_game
from actors.policy import Policy
from actors.process_setup import share_the_machine
from actors.video import record_lap
from common.game_config import GameConfig
from common.errors import ConfigError, MismatchError
from common.policy_file import STATE, StoredPolicy, load_policy

_PREFERRED = ("checkpoints/best", "checkpoints/latest", "best", "latest")


@dataclass(frozen=True, slots=True)
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

    def evaluate(self, *, episodes: int, seed: int) -> EvaluationReport:
        """Drives the attempts and returns the report.

        Args:
            episodes: attempts.
            seed: seed of the starts.
        """
        report = evaluate(
            self._policy(), lambda: self._game(render=False), episodes=episodes, seed=seed
        )
        assert report is not None
        return report

    def record(self, out: Path, *, lap: Lap) -> Lap:
        """Drives a lap again and writes it as a video.

        Args:
            out: the mp4.
            lap: which lap, from a report of this driver.
        """
        env = self._game(render=True)
        try:
            return record_lap(
                env, self._policy(), game=self.game, out=out, seed=lap.seed, actions=lap.actions
            )
        finally:
            env.close()

    def _policy(self) -> Policy:
        stored = self.stored
        policy = Policy(
            stored.network, stored.spec, stored.config.exploration, np.random.default_rng(0)
        )
        policy.install(param_version=int(stored.state.get("param_version", -1)))
        return policy

    def _game(self, *, render: bool) -> Game:
        jitter = self.stored.config.evaluation.start_jitter
        env = make_game(
            self.game, training=False, seed=None, render=render, evaluation_jitter=jitter
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


def open_driver(path: Path, *, game: str | None = None, track: str | None = None) -> Driver:
    """Returns the driver in a checkpoint, a folder of checkpoints, or a run.

    Args:
        path: in a run the best checkpoint is taken, else the latest.
        game: another game to drive.
        track: another track to drive.

    Raises:
        ConfigError: there is no checkpoint.
        CorruptError: it is damaged.
    """
    share_the_machine(nice=0)
    folder = find_checkpoint(path)
    stored = load_policy(folder)
    changes = {"name": game, "track": track}
    changed = {name: value for name, value in changes.items() if value is not None}
    return Driver(folder, stored, stored.config.game.model_copy(update=changed))


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
