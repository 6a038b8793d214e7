"""A stand-in of the doctor's own, examined as if it were the game: the doctor's test of itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.sim.catalogue import load_track
from actors.standin.rig import StandInRig
from actors.trackmania.reward_line import RewardLine
from common.config import Config
from deploy.doctor.game_subject import GameSubject


@contextmanager
def own_stand_in(
    config: Config, *, folder: Path, lines: tuple[RewardLine, ...]
) -> Iterator[GameSubject]:
    """Starts a stand-in with the configured track on a private screen, and ends it afterwards.

    Args:
        config: the configuration; ``game.name`` is standin.
        folder: takes the logs.
        lines: reward lines to compare the map with; without any, that of the track.
    """
    with StandInRig(config.game.track, folder=folder) as rig:
        yield subject_of(rig, config, lines=lines)


def subject_of(
    rig: StandInRig, config: Config, *, lines: tuple[RewardLine, ...] = ()
) -> GameSubject:
    """Returns a running stand-in as a game to examine."""
    return GameSubject(
        config=config,
        telemetry_port=rig.telemetry_port,
        display=rig.display,
        environment={**os.environ, **rig.environment()},
        lines=lines or (RewardLine.from_track(load_track(config.game.track)),),
    )
