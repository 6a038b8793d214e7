"""The games that tmrl drives: the stand-in on a screen of its own, and the user's TrackMania 2020."""

import hashlib
from pathlib import Path

from actors.game_contract import Game
from actors.sim.catalogue import load_track
from actors.trackmania.env import TrackmaniaEnv
from actors.trackmania.game_host import GameHost, OwnStandIn, UsersGame
from actors.trackmania.reward_line import RewardLine, load_lines
from common.errors import ConfigError
from common.game_config import GameConfig


def make_trackmania(config: GameConfig, *, render: bool) -> Game:
    """Returns the game ``standin`` or ``tm20``; nothing is started before its first reset.

    Raises:
        ConfigError: there is no reward line, or no such track.
        CorruptError: a reward line's file is damaged.
    """
    if config.options:
        raise ConfigError(
            f"The game {config.name} has no options, and game.options holds {sorted(config.options)}.",
            "What it takes is in game.trackmania.",
            "apexmania train --set game.options={} --set game.trackmania.stuck_steps=10",
        )
    host: GameHost
    if config.name == "standin":
        lines: tuple[RewardLine, ...] = (RewardLine.from_track(load_track(config.track)),)
        host = OwnStandIn(config.track)
    else:
        lines = _lines_of(config)
        host = UsersGame(config.trackmania.telemetry_port)
    return TrackmaniaEnv(
        config,
        lines=lines,
        host=host,
        line_hash=_hash_of(lines),
        render_mode="rgb_array" if render else None,
    )


def _lines_of(config: GameConfig) -> tuple[RewardLine, ...]:
    """Returns the reward lines that the configuration names."""
    if not config.trackmania.reward_line:
        raise ConfigError(
            "game.trackmania.reward_line is empty.",
            "Without the line of the map there is nothing to reward, and every attempt would end as stuck.",
            "apexmania game record-line --name MAP --out lines/MAP.npz, then "
            "--set game.trackmania.reward_line=lines/MAP.npz",
        )
    return load_lines(Path(config.trackmania.reward_line))


def _hash_of(lines: tuple[RewardLine, ...]) -> str:
    """Returns the SHA-256 of a line, or of several whatever their order."""
    digests = sorted(line.content_hash for line in lines)
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
