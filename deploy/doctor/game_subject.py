"""The game that is examined: TrackMania 2020 on this desktop, or a stand-in of our own."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.trackmania.reward_line import RewardLine
from common.config import Config


@dataclass(frozen=True, slots=True)
class GameSubject:
    """Where a game is, and what it should be.

    Attributes:
        config: the whole configuration; ``game.name`` is tm20 or standin.
        telemetry_port: of the game's plugin, on 127.0.0.1.
        display: X display with the game's window, None for the one of the environment.
        environment: variables of the programs that look at the game.
        lines: the reward lines that an actor would choose from; empty where none is configured.
    """

    config: Config
    telemetry_port: int
    display: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    lines: tuple[RewardLine, ...] = ()

    @property
    def is_stand_in(self) -> bool:
        """Whether our own gamepad takes the place of the system's."""
        return self.config.game.name == "standin"
