"""A checkpoint: everything from which the learner goes on to the same next step.

    weights.safetensors     online network          target.safetensors      target network
    optimizer.safetensors   AdamW's moments         generators.safetensors  random generator
    replay.bin              the replay service      sampler.bin             batches under way
    state.json              counters, window of the log, config, game spec, contract, sha256 of all

The folder is written beside its place and renamed, so it is there as a whole or not at all. The frames
are not in it: they are in the log, and the window says which part of the log to read again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from common.config import Config
from common.contract import Contract
from common.errors import ApexManiaError, ConfigError, CorruptError, MismatchError
from common.game_spec import GameSpec
from common.policy_file import WEIGHTS, described, read_folder, write_folder
from learner.learner_state import LearnerState

_log = structlog.get_logger()

SCHEMA_VERSION = 1
KIND = "learner"
_TENSOR_FILES = {
    WEIGHTS: "online",
    "target.safetensors": "target",
    "optimizer.safetensors": "optimizer",
    "generators.safetensors": "generators",
}
_REPLAY = "replay.bin"
_SAMPLER = "sampler.bin"
_CODE_VERSION = "code_version"


@dataclass(frozen=True, slots=True)
class Progress:
    """Counters of a run.

    Attributes:
        learner_steps: learner steps taken.
        target_syncs: hard copies of the target network.
        env_steps: env steps of the fleet that the learner has read.
        episodes: episodes of the fleet that the learner has read to their end.
    """

    learner_steps: int
    target_syncs: int
    env_steps: int
    episodes: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint folder holds.

    Attributes:
        progress: counters.
        read_from: transition id from which the log fills the frame store again.
        low: oldest transition id that was in the window.
        learner: networks, optimizer and generator.
        replay_service: state of the replay service; empty where it did not answer.
        sampler: state of the sampler.
        spec: the game.
        config: resolved configuration.
        terms: what the contract fingerprint covers.
    """

    progress: Progress
    read_from: int
    low: int
    learner: LearnerState
    replay_service: bytes
    sampler: bytes
    spec: GameSpec
    config: Config
    terms: Mapping[str, object]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint as one step.

    Raises:
        ApexManiaError: its weights are not finite; such a checkpoint would be worth nothing.
    """
    learner = checkpoint.learner
    for name, tensor in learner.online.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ApexManiaError(
                f"No checkpoint was written: {name} holds values that are not finite.",
                f"The learner diverged before learner step {checkpoint.progress.learner_steps}.",
                "Resume from the checkpoint before, with a lower learner.learning_rate.initial.",
            )
    files = {
        name: save_tensors(getattr(learner, attribute)) for name, attribute in _TENSOR_FILES.items()
    }
    files |= {_REPLAY: checkpoint.replay_service, _SAMPLER: checkpoint.sampler}
    state = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "param_version": checkpoint.progress.learner_steps,
        "progress": asdict(checkpoint.progress),
        "read_from": checkpoint.read_from,
        "low": checkpoint.low,
        "terms": dict(checkpoint.terms),
        **described(checkpoint.spec, checkpoint.config),
    }
    write_folder(folder, files, state)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Returns a checkpoint whose every file passed its check.

    Raises:
        ConfigError: it is no checkpoint, or one that holds a policy only.
        CorruptError: a file is missing, cut or altered.
        MismatchError: another version of ApexMania wrote it.
    """
    state, files = read_folder(folder)
    if state.get("kind") != KIND:
        raise ConfigError(
            f"{folder} cannot be resumed from.",
            "It holds a policy only, without target network, optimizer and replay.",
            "Name a step-* folder under checkpoints/ instead; evaluate and watch take this one.",
        )
    if state.get("schema_version") != SCHEMA_VERSION:
        raise MismatchError(
            f"{folder} has checkpoint schema {state.get('schema_version')}.",
            f"This version of ApexMania reads schema {SCHEMA_VERSION}.",
            "Resume with the version that wrote it, or start a new run.",
        )
    try:
        return Checkpoint(
            progress=Progress(**{name: int(n) for name, n in state["progress"].items()}),
            read_from=int(state["read_from"]),
            low=int(state["low"]),
            learner=_learner_state(files),
            replay_service=files[_REPLAY],
            sampler=files[_SAMPLER],
            spec=GameSpec.from_dict(state["spec"]),
            config=Config.model_validate(state["config"]),
            terms=dict(state["terms"]),
        )
    except (KeyError, ValueError, TypeError, SafetensorError) as error:
        raise CorruptError(
            f"{folder} was refused.",
            f"Its files pass their checks but do not describe a checkpoint ({error}).",
            "Use another checkpoint of the run; the folder above lists them.",
        ) from error


def _learner_state(files: Mapping[str, bytes]) -> LearnerState:
    tensors: dict[str, dict[str, Tensor]] = {
        attribute: load_tensors(files[name]) for name, attribute in _TENSOR_FILES.items()
    }
    return LearnerState(**tensors)


def require_same_run(checkpoint: Checkpoint, *, contract: Contract, config: Config) -> None:
    """Refuses a checkpoint of another game, and says which settings differ from the run's.

    Other code is no reason to refuse: a run may be resumed after an upgrade, which is logged.

    Raises:
        MismatchError: a term of the contract differs, with both values.
    """
    # Through JSON and back, as the checkpoint's terms went.
    here, there = contract.terms(), checkpoint.terms
    differing = [name for name in here if _plain(here[name]) != _plain(there.get(name))]
    if _CODE_VERSION in differing:
        differing.remove(_CODE_VERSION)
        _log.warning("checkpoint_of_other_code", fix="resume with the version that wrote it")
    if differing:
        values = "; ".join(
            f"{name}: {there.get(name)} there, {here[name]} here" for name in differing
        )
        raise MismatchError(
            f"The checkpoint and this run disagree about {', '.join(differing)}.",
            f"{values}.",
            "Resume with the game section of the checkpoint's own state.json, or start a new run.",
        )
    changed = changed_keys(checkpoint.config.model_dump(), config.model_dump())
    if changed:
        _log.warning("resumed_with_other_settings", changed=changed)


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON has no narrower type
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns the dotted keys whose values differ between two configurations."""
    changed: list[str] = []
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            changed += changed_keys(before, value, f"{prefix}{name}.")
        elif before != value:
            changed.append(f"{prefix}{name}")
    return changed
