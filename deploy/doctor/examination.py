"""One whole examination: the machine for a role, and the game where one is asked for."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from actors.trackmania.reward_line import RewardLine, load_lines
from common.config import Config
from common.errors import MachineError
from deploy.config_file import load_config
from deploy.doctor.finding import Finding
from deploy.doctor.game_examination import examine_game
from deploy.doctor.game_subject import GameSubject
from deploy.doctor.machine import CHECKS, examine_machine
from deploy.doctor.own_stand_in import own_stand_in

GameName = Literal["tm20", "standin", "sim"]
Announce = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminationRequest:
    """What was typed.

    Attributes:
        role: actor, learner, replay or all.
        game: the game to examine, None for what the role suggests.
        port: of the plugin, None for that of the configuration.
        reward_line: file or folder, None for that of the configuration.
        config: YAML file.
        preset: name.
        settings: ``key=value`` each.
    """

    role: str = "all"
    game: GameName | None = None
    port: int | None = None
    reward_line: Path | None = None
    config: Path | None = None
    preset: str | None = None
    settings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of it.

    Attributes:
        role: of the machine.
        game: that was examined, or sim.
        findings: one a check, in order.
    """

    role: str
    game: str
    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(finding.level != "fail" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; ``figures`` gathers those of all checks."""
        figures = {name: value for found in self.findings for name, value in found.figures.items()}
        return {
            "ok": self.passed,
            "role": self.role,
            "game": self.game,
            "figures": figures,
            "checks": [finding.to_dict() for finding in self.findings],
        }


def examine(request: ExaminationRequest, *, announce: Announce) -> Examination:
    """Examines machine and game and returns everything that was found.

    Args:
        request: what was typed.
        announce: is told what begins.

    Raises:
        ConfigError: role, configuration or reward line do not exist.
    """
    game = request.game or ("tm20" if request.role == "actor" else "sim")
    config = _config(request, game)
    lines = load_lines(Path(_reward_line(config))) if _reward_line(config) else ()
    for words in _ignored(request, game):
        announce(f"ignored: {words}")
    announce(f"Running up to {len(CHECKS)} checks; the slow ones take some seconds.")
    findings = examine_machine(request.role)  # type: ignore[arg-type] # it names the roles itself
    if game == "tm20":
        announce("Examining the game: it is driven for half a minute; keep your hands off it.")
        port = config.game.trackmania.telemetry_port
        findings += examine_game(
            GameSubject(config=config, telemetry_port=port, lines=lines, environment=os.environ)
        )
    elif game == "standin":
        announce("Examining a stand-in of our own, as if it were the game.")
        findings += examine_stand_in(config, lines=lines)
    return Examination(request.role, game, findings)


def examine_stand_in(config: Config, *, lines: tuple[RewardLine, ...] = ()) -> list[Finding]:
    """Starts a stand-in, examines it as if it were the game, and ends it.

    Args:
        config: the configuration; ``game.name`` is standin.
        lines: reward lines to compare the map with; without any, that of the track.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="am-doctor-") as folder,
            own_stand_in(config, folder=Path(folder), lines=lines) as subject,
        ):
            return examine_game(subject)
    except MachineError as error:
        return [Finding("stand-in", "fail", f"{error.what} {error.why}", error.fix)]


def _ignored(request: ExaminationRequest, game: str) -> Iterator[str]:
    """Yields what was typed that this game does not use."""
    if request.port is not None and game == "standin":
        yield "--port, since a stand-in is started for this on a free one"
    if game == "sim":
        for option, value in (("--port", request.port), ("--reward-line", request.reward_line)):
            if value is not None:
                yield f"{option}, since no game is examined; add --game tm20"


def _config(request: ExaminationRequest, game: str) -> Config:
    """Returns the configuration with what the other options say on top."""
    short = {
        "game.name": game,
        "game.trackmania.telemetry_port": request.port,
        "game.trackmania.reward_line": request.reward_line,
    }
    settings = [f"{key}={value}" for key, value in short.items() if value is not None]
    return load_config(
        file=request.config, preset=request.preset, settings=[*request.settings, *settings]
    )


def _reward_line(config: Config) -> str:
    return config.game.trackmania.reward_line
