"""Names what was asked for a game that does not use it."""

from collections.abc import Iterator, Sequence

from common.game_config import GameConfig

_LINK = "game.trackmania."
_OF_TM20_ONLY = frozenset({"reward_line", "telemetry_port"})


def ignored_settings(game: GameConfig, *, track: str | None, settings: Sequence[str]) -> list[str]:
    """Returns what has no effect on the game that is driven, each with the reason.

    Args:
        game: the game that is driven.
        track: what ``--track`` said.
        settings: ``key=value`` texts of ``--set``.
    """
    return list(_ignored(game, track, settings))


def _ignored(game: GameConfig, track: str | None, settings: Sequence[str]) -> Iterator[str]:
    if track is not None and game.name not in {"sim", "standin"}:
        yield f"--track {track}, since {game.name} has no tracks to choose from"
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if not key.startswith(_LINK) or game.name == "tm20":
            continue
        if game.name != "standin":
            yield f"{key}, since {game.name} has no link to TrackMania"
        elif key.removeprefix(_LINK) in _OF_TM20_ONLY:
            yield f"{key}, since the stand-in brings its own"
