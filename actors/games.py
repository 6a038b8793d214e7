"""The games by name: sim, standin, tm20, and ``module:factory`` for anything that keeps the contract."""

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from actors.action_history import ActionHistory
from actors.finish_bonus import FinishBonus
from actors.first_seed import FirstSeed
from actors.game_contract import CheckedGame, Game, check_spaces
from actors.reward_clip import RewardClip
from actors.reward_scale import RewardScale
from common.errors import ConfigError
from common.game_config import CAR_GAMES, GameConfig
from common.game_spec import GameSpec, action_history_features

SIM_OPTIONS: dict[str, type[int | float]] = {
    "off_track_m": float,
    "stuck_steps": int,
    "grace_steps": int,
    "delay_ticks": int,
}
"""What ``game.options`` may change of the simulated game; its docstring says what each means."""
_MAY_BE_ZERO = frozenset({"delay_ticks"})


def make_game(
    config: GameConfig,
    *,
    training: bool,
    seed: int | None,
    render: bool = False,
    evaluation_jitter: float = 0.0,
) -> Game:
    """Returns the game that the config names, wrapped as the config asks.

    Args:
        config: name, options and wrappers.
        training: whether the start is jittered as the config says.
        seed: seed of the first episode, or None for a fresh one.
        render: whether ``render()`` shall return RGB pictures.
        evaluation_jitter: the start's jitter where this is no training.

    Raises:
        ConfigError: the name, the plug-in's module, its factory or its spaces are not usable.
    """
    if config.name == "sim":
        start_jitter = config.start_jitter if training else evaluation_jitter
        game = _make_sim(config, start_jitter=start_jitter, render=render)
    elif config.drives_car:
        game = _make_trackmania(config, render=render)
    else:
        game = _make_plugin(config, render=render)
    if config.reward_scale != 1.0:
        game = RewardScale(game, config.reward_scale)
    if config.reward_clip > 0.0:
        game = RewardClip(game, config.reward_clip)
    if config.finish_bonus > 0.0:
        game = FinishBonus(game, config.finish_bonus)
    if config.action_history > 0:
        game = ActionHistory(game, config.action_history, _action_table(game, config))
    return game if seed is None else FirstSeed(game, seed)


def game_spec(env: Game, config: GameConfig) -> GameSpec:
    """Returns the shapes of a game that ``make_game`` returned.

    Raises:
        ConfigError: ``game.feature_scale`` has not one divisor for each feature of the game.
    """
    space = env.observation_space
    assert isinstance(space, spaces.Dict)
    assert isinstance(env.action_space, spaces.Discrete)
    history, height, width = space.spaces["image"].shape or ()
    (n_features,) = space.spaces["features"].shape or (0,)
    n_actions = int(env.action_space.n)
    n_past = action_history_features(config, n_actions)
    return GameSpec(
        history=int(history),
        frame_height=int(height),
        frame_width=int(width),
        n_features=int(n_features),
        n_actions=n_actions,
        feature_scale=_feature_scale(config, int(n_features) - n_past) + (1.0,) * n_past,
        reward_line=str(env.metadata.get("reward_line", "")),
    )


def _feature_scale(config: GameConfig, n_own: int) -> tuple[float, ...]:
    """Returns a divisor for each of the game's own features.

    The default of ``game.feature_scale`` belongs to the car's speed, gear and rpm; a plug-in's features
    are taken as they are unless the config says otherwise.
    """
    default = GameConfig.model_fields["feature_scale"].default
    if not config.drives_car and config.feature_scale == default:
        return (1.0,) * n_own
    if len(config.feature_scale) != n_own:
        raise ConfigError(
            f"game.feature_scale has {len(config.feature_scale)} divisors: "
            f"{list(config.feature_scale)}.",
            f"The game {config.name} shows {n_own} features, and each needs one.",
            f"--set game.feature_scale='{[1.0] * n_own}'",
        )
    return config.feature_scale


def _action_table(game: Game, config: GameConfig) -> npt.NDArray[np.float32]:
    """Returns what stands for each action in the history: controls for the car, else one hot."""
    if config.drives_car:
        return np.asarray(config.actions, dtype=np.float32)
    assert isinstance(game.action_space, spaces.Discrete)
    return np.eye(int(game.action_space.n), dtype=np.float32)


def _make_sim(config: GameConfig, *, start_jitter: float, render: bool) -> Game:
    from actors.sim.env import SimEnv  # noqa: PLC0415 - other games need no numba

    return SimEnv(
        track=config.track,
        action_table=config.actions,
        image_size=config.image_size,
        history=config.history,
        max_steps=config.max_episode_steps,
        start_jitter=start_jitter,
        render_mode="rgb_array" if render else None,
        **_sim_options(config),
    )


def _make_trackmania(config: GameConfig, *, render: bool) -> Game:
    from actors.trackmania.game import make_trackmania  # noqa: PLC0415 - other games need no numba

    return make_trackmania(config, render=render)


def _sim_options(config: GameConfig) -> dict[str, Any]:
    """Returns ``game.options`` as keyword arguments of the simulated game.

    Raises:
        ConfigError: an option does not exist, or is not a number of the right kind and size.
    """
    for name, value in config.options.items():
        kind = SIM_OPTIONS.get(name)
        if kind is None:
            raise ConfigError(
                f"The simulated game has no option {name!r}.",
                f"game.options may hold {', '.join(sorted(SIM_OPTIONS))}.",
                f"apexmania train --set game.options.{next(iter(SIM_OPTIONS))}=9.0",
            )
        zero = name in _MAY_BE_ZERO
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        if not (number and (float(value) > 0.0 or (zero and value == 0))):
            wanted = f"an {kind.__name__} from 0 up" if zero else f"a positive {kind.__name__}"
            raise ConfigError(
                f"game.options.{name} is {value!r}.",
                f"It has to be {wanted}.",
                f"apexmania train --set game.options.{name}={kind(2 if zero else 20)}",
            )
    return dict(config.options)


def _make_plugin(config: GameConfig, *, render: bool) -> Game:
    """Builds, checks and time-limits the game of a ``module:factory``."""
    factory = _load_factory(config.name)
    options: dict[str, Any] = dict(config.options)
    if render and "render_mode" in inspect.signature(factory).parameters:
        options.setdefault("render_mode", "rgb_array")
    try:
        env = factory(**options)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"The factory of the game {config.name} failed with {type(error).__name__}: {error}",
            f"It was called as {config.name.partition(':')[2]}(**{options}).",
            "Correct game.options, or run the factory by hand to see the whole traceback.",
        ) from error
    if not isinstance(env, gymnasium.Env):
        raise ConfigError(
            f"The factory of the game {config.name} returned a {type(env).__name__}.",
            "A game is a gymnasium.Env.",
            "Return the environment itself; docs/games.md has a worked example.",
        )
    check_spaces(config.name, env)
    return TimeLimit(CheckedGame(env, config.name), config.max_episode_steps)


def _load_factory(name: str) -> Callable[..., Game]:
    """Returns the callable behind ``module:factory``."""
    module_name, colon, factory_name = name.partition(":")
    if not (colon and module_name and factory_name):
        close = difflib.get_close_matches(name, CAR_GAMES, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(
            f"There is no game {name!r}.",
            f"{meant}a game is {', '.join(CAR_GAMES)}, or module:factory for a Gymnasium environment "
            "of yours",
            f"--game {close[0] if close else 'sim'}, or for instance "
            "--game actors.minatar_game:breakout",
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"The module {module_name} of the game {name} does not import.",
            f"{type(error).__name__}: {error}",
            f"for a module in this folder: PYTHONPATH=. apexmania ...; it has to pass "
            f"PYTHONPATH=. python -c 'import {module_name}'",
        ) from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise ConfigError(
            f"The module {module_name} has no factory {factory_name}.",
            "The part behind the colon names a function or class that returns the environment.",
            f"Callables there: {', '.join(_public_callables(module)) or 'none'}",
        )
    found: Callable[..., Game] = factory
    return found


def _public_callables(module: object) -> list[str]:
    return sorted(
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    )
