"""Reward lines on their way to another machine: the files themselves, under names that we choose there."""

import hashlib
from pathlib import Path

from actors.trackmania.reward_line import SUFFIX
from common.config import Config
from common.game_config import USERS_GAME, GameConfig


def read_line_files(config: GameConfig) -> dict[str, bytes]:
    """Returns the files of a configuration's reward lines by name; none where no game needs them."""
    if config.name != USERS_GAME:
        return {}
    path = Path(config.trackmania.reward_line)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


def with_local_lines(config: Config, files: dict[str, bytes], *, folder: Path) -> Config:
    """Writes reward lines to this machine and returns the configuration that names them.

    They are checked where the game reads them, and by the hash in the run's contract.

    Args:
        config: of the run, with a path of the machine that started it.
        files: content by file name, which is not used: it came from another machine.
        folder: takes one folder for each set of lines.
    """
    if config.game.name != USERS_GAME or not files:
        return config
    contents = {hashlib.sha256(content).hexdigest(): content for content in files.values()}
    own = folder / hashlib.sha256("".join(sorted(contents)).encode()).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    for stray in own.iterdir():
        if stray.name.removesuffix(SUFFIX) not in contents:
            stray.unlink()
    for name, content in contents.items():
        (own / f"{name}{SUFFIX}").write_bytes(content)
    return with_trackmania(config, reward_line=str(own))


def with_trackmania(config: Config, **changes: int | str) -> Config:
    """Returns the configuration with other settings of the link to the game, checked anew."""
    tree = config.model_dump()
    tree["game"]["trackmania"] |= changes
    return Config.model_validate(tree)
