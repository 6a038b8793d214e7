"""What ``train`` was asked for: a new run, or the continuation of one."""

from dataclasses import dataclass, field
from pathlib import Path

from common.config import Config
from common.errors import ConfigError
from deploy import config_file
from deploy.redis_listen import NOWHERE, Listen, parse_listen
from deploy.run_folder import DEFAULT_RUNS, RunFolder, create, open_run
from deploy.run_record import PRIVATE, RunRecord

_PROVEN = "proven"
_MAY_CHANGE = ("run.", "actors.count=", "replay.max_redis_bytes=")


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """The options of ``train``.

    Attributes:
        config: YAML file.
        preset: name of a preset.
        settings: ``key=value`` texts, the short options included.
        run_dir: folder of a new run.
        resume: folder of the run to continue.
        redis_url: the user's own Redis.
        listen: address on which other machines reach the private Redis, ``none`` for no address any more.
        insecure_lan: whether it shall listen without encryption.
        mutual_tls: whether clients need a certificate.
        ray: the cluster to train on, ``HOST:PORT`` or ``auto``; None for a Ray of the run's own.
    """

    config: Path | None = None
    preset: str | None = None
    settings: list[str] = field(default_factory=list)
    run_dir: Path | None = None
    resume: Path | None = None
    redis_url: str | None = None
    listen: str | None = None
    insecure_lan: bool = False
    mutual_tls: bool = False
    ray: str | None = None


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """A checked request, before anything was written.

    Attributes:
        request: what was asked.
        config: resolved configuration.
        preset: name of the starting point.
        resumed: the run that continues, or None for a new one.
        listen: where other machines reach the private Redis, or None for loopback alone.
        notices: what the person should know of the configuration.
    """

    request: TrainRequest
    config: Config
    preset: str
    resumed: RunFolder | None
    listen: Listen | None = None
    notices: tuple[str, ...] = ()

    def open_folder(self) -> RunFolder:
        """Returns the run's folder, made if it is new."""
        if self.resumed is not None:
            return self.resumed
        return create(runs=DEFAULT_RUNS, preset=self.preset, path=self.request.run_dir)


def make_plan(request: TrainRequest) -> TrainPlan:
    """Checks a request and resolves its configuration.

    Raises:
        ConfigError: the options or the configuration are impossible.
    """
    if request.resume is not None:
        return _resume(request, request.resume)
    notices: list[str] = []
    config = config_file.load_config(
        file=request.config, preset=request.preset, settings=request.settings, say=notices.append
    )
    notices += _users_game(config)
    listen = _listen(request, None)
    return TrainPlan(request, config, request.preset or _PROVEN, None, listen, tuple(notices))


def _listen(request: TrainRequest, kept: Listen | None) -> Listen | None:
    """Returns where to listen: as asked for, else as the run that goes on did.

    Raises:
        ConfigError: the options contradict each other.
    """
    how = {"--insecure-lan": request.insecure_lan, "--mutual-tls": request.mutual_tls}
    given = [name for name, on in how.items() if on]
    if request.redis_url is not None and (request.listen is not None or given):
        raise ConfigError(
            "--listen does not go with --redis.",
            "where your own Redis listens, and how, is in its own configuration",
            "leave it away, or take the private Redis: leave --redis and APEXMANIA_REDIS_URL away",
        )
    if request.listen is None:
        if given:
            raise ConfigError(
                f"{given[0]} needs --listen.",
                "without it Redis is reached from this machine alone",
                f"apexmania train --listen ADDRESS {given[0]}",
            )
        return kept
    if request.listen == NOWHERE:
        return None
    return parse_listen(
        request.listen, insecure=request.insecure_lan, mutual_tls=request.mutual_tls
    )


def _users_game(config: Config) -> list[str]:
    """Returns what to know of a run with a game that a person starts.

    Raises:
        ConfigError: it shall be driven more often than a machine has it.
    """
    if config.game.runs_by_itself:
        return []
    if config.actors.count > 1:
        raise ConfigError(
            f"{config.actors.count} actors cannot drive {config.game.name} on one machine.",
            "its plugin serves one client, and its window and gamepad exist once",
            f"--game {config.game.name} --actors 1; --game standin --actors {config.actors.count} starts several",
        )
    notice = (
        f"{config.game.name} belongs to the actor while training goes on: greedy evaluation is off. "
        "Afterwards: apexmania evaluate RUN --episodes 10"
    )
    return [notice]


def _resume(request: TrainRequest, path: Path) -> TrainPlan:
    folder = open_run(path)
    record = RunRecord.open(folder)
    fixed = {"--config": request.config, "--preset": request.preset, "--run-dir": request.run_dir}
    given = [name for name, value in fixed.items() if value is not None]
    frozen = [text for text in request.settings if not text.startswith(_MAY_CHANGE)]
    if given or frozen:
        raise ConfigError(
            f"--resume does not go with {', '.join(given + frozen)}.",
            "a run goes on with its own configuration; only run.*, actors.count and "
            "replay.max_redis_bytes may change",
            f"apexmania train --resume {path} --set run.max_env_steps=20000000",
        )
    foreign = record.redis != PRIVATE
    if foreign != (request.redis_url is not None):
        raise ConfigError(
            f"The run {folder.name} was started with {record.redis} Redis.",
            "its log is there, and a run cannot go on without its log",
            f"apexmania train --resume {path}" + (" --redis URL" if foreign else ""),
        )
    config = config_file.load_config(file=folder.config_file, settings=request.settings)
    return TrainPlan(request, config, record.preset, folder, _listen(request, record.listen))
