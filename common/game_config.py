"""Which game is driven, what it shows, and how it is reached."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from common.config_section import (
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Section,
)

ActionRow = tuple[Fraction, Fraction, Annotated[float, Field(ge=-1.0, le=1.0)]]

PROVEN_ACTIONS: tuple[ActionRow, ...] = (
    (0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0),
    (1.0, 0.0, -1.0),
    (1.0, 0.0, 1.0),
    (0.0, 0.0, -1.0),
    (0.0, 0.0, 1.0),
    (0.0, 0.0, -0.3),
    (0.0, 0.0, 0.3),
    (0.0, 1.0, 0.0),
    (1.0, 1.0, -1.0),
    (1.0, 1.0, 1.0),
)

CAR_GAMES = ("sim", "standin", "tm20")
"""The games of ours; all show the same observation and take the same actions."""
USERS_GAME = "tm20"
"""The game that a person starts and that a machine has once."""
REAL_TIME_GAMES = ("standin", USERS_GAME)
"""The games that tmrl drives."""


class TrackmaniaConfig(Section):
    """The link to TrackMania 2020, or to the stand-in, through tmrl."""

    telemetry_port: Annotated[int, Field(ge=1, le=65535)] = 9000
    """Port on 127.0.0.1 where the game's plugin sends telemetry; the own stand-in takes a free one."""
    reward_line: str = ""
    """Reward line of the map, as recorded by game record-line: one .npz, or a folder with one a map."""
    window_width: Annotated[int, Field(ge=64, le=1920)] = 256
    """Width that the game's window is set to (pixels)."""
    window_height: Annotated[int, Field(ge=64, le=1080)] = 128
    """Height that the game's window is set to (pixels)."""
    screen_x_offset: NonNegative = 70
    """On Linux, from the screen's left edge to the window's picture (pixels); 0 for the own stand-in."""
    screen_y_offset: NonNegative = 64
    """On Linux, from the screen's top edge to the window's picture (pixels); 0 for the own stand-in."""
    step_s: PositiveFloat = 0.05
    """Period of an env step (s)."""
    capture_s: PositiveFloat = 0.04
    """Time in the env step at which the observation is taken (s); the policy has the rest of it."""
    reset_sleep_s: NonNegativeFloat = 1.5
    """Wait after the restart of a race (s); TrackMania counts down for 1.5."""
    countdown_s: NonNegativeFloat = 1.5
    """From the restart of a race to the start of its clock (s)."""
    stuck_steps: Positive = 10
    """Env steps without progress after which an attempt ends (env steps)."""
    grace_steps: NonNegative = 70
    """First env steps of an attempt, in which nothing counts as stuck (env steps)."""
    off_line_m: NonNegativeFloat = 0.0
    """Distance from the reward line beyond which an attempt ends (m); 0 never does."""

    @model_validator(mode="after")
    def _time_for_the_policy(self) -> Self:
        if self.capture_s >= self.step_s:
            msg = (
                f"capture_s ({self.capture_s}) leaves the policy no time within step_s "
                f"({self.step_s}); lower it, for instance to {0.8 * self.step_s:.3f}"
            )
            raise ValueError(msg)
        return self


class GameConfig(Section):
    """Which game is driven, and what it shows."""

    name: str = "sim"
    """sim, standin (sim in a window, driven by tmrl), tm20 (TrackMania 2020), or module:factory."""
    track: str = "first-lap"
    """Track or map: for sim and standin a named track or generated:<seed>, for tm20 the map's name."""
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Further keyword arguments for the game's factory."""
    history: Positive = 4
    """Camera frames stacked in one observation (frames)."""
    image_size: Positive = 64
    """Height and width of the camera frame of sim, standin and tm20 (pixels)."""
    feature_scale: tuple[PositiveFloat, ...] = (1000.0, 10.0, 10000.0)
    """Divisor of each car feature: speed (m/s), gear, engine rpm. Saved with the weights."""
    actions: tuple[ActionRow, ...] = Field(default=PROVEN_ACTIONS, min_length=2, max_length=256)
    """The discrete actions, rows of [gas, brake, steer]; steer -1 is full left."""
    action_history: NonNegative = 0
    """Past actions appended to the features (actions); the failed run used 4, the proven run 0."""
    max_episode_steps: Positive = 1500
    """Time limit of an episode (env steps); reaching it truncates."""
    finish_bonus: NonNegativeFloat = 0.0
    """Reward added once at the finish line (reward units); the proven run had none."""
    reward_scale: PositiveFloat = 1.0
    """Factor of every reward of the game (1), applied before reward_clip; 1 leaves them alone."""
    reward_clip: NonNegativeFloat = 0.0
    """Rewards are clipped to plus and minus this (reward units); 0 leaves them alone."""
    start_jitter: Fraction = 0.0
    """Randomness of sim's start pose while training (0 none, 1 the widest)."""
    trackmania: TrackmaniaConfig = TrackmaniaConfig()
    """The link to the game of standin and tm20."""

    @property
    def drives_car(self) -> bool:
        """Whether the actions are rows of gas, brake and steer and the features speed, gear and rpm."""
        return self.name in CAR_GAMES

    @property
    def real_time(self) -> bool:
        """Whether the game does not wait between env steps."""
        return self.name in REAL_TIME_GAMES

    @property
    def runs_by_itself(self) -> bool:
        """Whether a process may have a game of its own whenever it needs one; a person starts tm20."""
        return self.name != USERS_GAME
