"""Folders of checked files, and the policy in one: what a checkpoint is made of.

    <folder>/state.json            what the files mean, their sha256 and its own, config and game spec
    <folder>/weights.safetensors   the online network
    <folder>/...                   whatever else a checkpoint keeps

A folder is written beside its place, flushed, and renamed, so that a reader sees all of it or nothing.
Links such as ``latest`` and ``best`` are replaced in one step.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from common.config import Config
from common.errors import ConfigError, CorruptError
from common.game_spec import GameSpec
from common.network import IqnNetwork, network_for

STATE = "state.json"
SEAL = "sha256"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy as it was read from disk.

    Attributes:
        network: in evaluation mode, on the CPU.
        spec: the game that it plays.
        config: the run that it comes from.
        state: all of ``state.json``.
    """

    network: IqnNetwork
    spec: GameSpec
    config: Config
    state: dict[str, Any]


def write_folder(folder: Path, files: Mapping[str, bytes], state: Mapping[str, Any]) -> None:
    """Writes the files and ``state.json``, which also gets the sha256 of each and its own, as one step.

    A folder of the same name is moved aside first and removed at last; where readers must never miss
    it, write under a new name and move a link.
    """
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    for leftover in (beside, aside):
        shutil.rmtree(leftover, ignore_errors=True)
    beside.mkdir(parents=True)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in files.items():
        _write(beside / name, content)
    sealed = {**state, "files": digests}
    text = json.dumps({**sealed, SEAL: seal(sealed)}, indent=2, sort_keys=True)
    _write(beside / STATE, text.encode())
    _sync_folder(beside)
    if folder.exists():
        folder.rename(aside)
    beside.rename(folder)
    _sync_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def link_folder(link: Path, folder: Path) -> None:
    """Points a symlink such as ``best`` at a folder next to it, in one step."""
    beside = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    beside.unlink(missing_ok=True)
    beside.symlink_to(folder.name, target_is_directory=True)
    beside.replace(link)
    _sync_folder(link.parent)


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns ``state.json`` and the files that it names, each checked against its sha256.

    Raises:
        ConfigError: there is no such folder or it is no checkpoint.
        CorruptError: a file is missing or altered.
    """
    state_file = folder / STATE
    if not state_file.is_file():
        raise ConfigError(
            f"{folder} is no checkpoint.",
            f"There is no {STATE} in it.",
            "Name a folder such as runs/<run>/checkpoints/best.",
        )
    try:
        state = json.loads(state_file.read_bytes())
        found = state.pop(SEAL)
        digests = {str(name): str(digest) for name, digest in state["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _corrupt(state_file, f"it does not parse ({error})") from error
    if found != seal(state):
        raise _corrupt(state_file, "its own sha256 does not match its content")
    files = {}
    for name, digest in digests.items():
        if Path(name).name != name:
            raise _corrupt(state_file, f"it names the file {name!r} outside its folder")
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise _corrupt(folder / name, f"it cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise _corrupt(folder / name, f"its sha256 is not the one in {STATE}")
        files[name] = content
    return state, files


def seal(state: Mapping[str, Any]) -> str:
    """Returns the sha256 of the state's canonical JSON, hex."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def save_policy(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    spec: GameSpec,
    config: Config,
    facts: Mapping[str, Any],
) -> None:
    """Writes a folder that holds only the policy.

    Args:
        folder: where; replaced if it is there.
        tensors: state dict of the online network.
        spec: the game.
        config: the run's configuration.
        facts: more for ``state.json``: param_version, env_steps, the evaluation, ...
    """
    files = {WEIGHTS: save({name: tensor.contiguous() for name, tensor in tensors.items()})}
    write_folder(folder, files, {**facts, **described(spec, config)})


def described(spec: GameSpec, config: Config) -> dict[str, Any]:
    """Returns the part of ``state.json`` from which ``load_policy`` rebuilds the network."""
    return {"spec": spec.to_dict(), "config": config.model_dump(mode="json")}


def load_policy(folder: Path) -> StoredPolicy:
    """Returns the policy in a checkpoint, whole or policy-only.

    Raises:
        ConfigError: it is no checkpoint.
        CorruptError: its check fails, or the weights do not fit the network that it describes.
    """
    state, files = read_folder(folder)
    try:
        spec = GameSpec.from_dict(state["spec"])
        config = Config.model_validate(state["config"])
        network = network_for(spec, config)
        network.load_state_dict(load(files[WEIGHTS]))
    except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise _corrupt(folder, f"it does not describe a network ({error})") from error
    return StoredPolicy(network.eval(), spec, config, state)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _corrupt(path: Path, reason: str) -> CorruptError:
    return CorruptError(
        f"{path} was refused.",
        f"{reason[0].upper()}{reason[1:]}.",
        "Use another checkpoint of the run; the folder above lists them.",
    )
