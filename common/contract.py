"""What every process of a run must agree on before it may write or read a segment."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from common.config import Config
from common.errors import MismatchError
from common.game_spec import GameSpec
from common.segment import SCHEMA_VERSION

PACKAGES = ("actors", "common", "deploy", "learner", "replay_server")


@dataclass(frozen=True, slots=True)
class Contract:
    """The agreement of one run.

    Attributes:
        fingerprint: sha256 over all that follows but the configuration, hex.
        spec: observation and action layout, with the scale of the features.
        game: name of the game.
        track: track or map.
        config_json: the resolved configuration, so that an actor needs no file.
        actions: rows of [gas, brake, steer].
        schema_version: version of the segment layout.
        code_version: sha256 over the source of our packages, hex.
    """

    fingerprint: str
    spec: GameSpec
    game: str
    track: str
    config_json: str
    actions: tuple[tuple[float, ...], ...]
    schema_version: int
    code_version: str

    @property
    def config(self) -> Config:
        """The resolved configuration of the run."""
        return Config.model_validate_json(self.config_json)

    def terms(self) -> dict[str, object]:
        """Returns what the fingerprint covers, by name."""
        return {
            **self.spec.to_dict(),
            "game": self.game,
            "track": self.track,
            "actions": [list(row) for row in self.actions],
            "schema_version": self.schema_version,
            "code_version": self.code_version,
        }


def make_contract(config: Config, spec: GameSpec) -> Contract:
    """Returns the contract of a run as this installation understands it."""
    unsealed = Contract(
        fingerprint="",
        spec=spec,
        game=config.game.name,
        track=config.game.track,
        config_json=config.model_dump_json(),
        actions=tuple(tuple(row) for row in config.game.actions),
        schema_version=SCHEMA_VERSION,
        code_version=code_version(),
    )
    return Contract(
        fingerprint=fingerprint(unsealed.terms()),
        spec=spec,
        game=unsealed.game,
        track=unsealed.track,
        config_json=unsealed.config_json,
        actions=unsealed.actions,
        schema_version=unsealed.schema_version,
        code_version=unsealed.code_version,
    )


def fingerprint(terms: dict[str, object]) -> str:
    """Returns the sha256 of the terms, hex."""
    canonical = json.dumps(terms, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@lru_cache(maxsize=1)
def code_version() -> str:
    """Returns the sha256 over every source file of our packages, hex."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for package in PACKAGES:
        for source in sorted((root / package).rglob("*.py")):
            name = source.relative_to(root).as_posix()
            content = source.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def require_same(*, ours: Contract, theirs: Contract) -> None:
    """Compares two contracts; an actor calls it before it drives.

    Raises:
        MismatchError: they differ, naming each term with both values.
    """
    if ours.fingerprint == theirs.fingerprint:
        return
    mine, other = ours.terms(), theirs.terms()
    differing = [name for name in mine if mine[name] != other.get(name)]
    values = "; ".join(f"{name}: here {mine[name]}, run {other.get(name)}" for name in differing)
    fix = "start this process with the run's own settings"
    if "code_version" in differing or "schema_version" in differing:
        fix = "install the same version of apexmania here and on the head, then start again"
    raise MismatchError(
        f"This process and the run disagree about {', '.join(differing) or 'the fingerprint'}.",
        values or "the fingerprints differ although every term is equal",
        fix,
    )
