"""What a run needs of Redis, compared with what Redis takes, before anything is started.

A value above the server's limit breaks the connection, which looks like an outage that never ends; a
log that outgrows the memory stops the run hours later. Both follow from the configuration and the
game's shapes alone.
"""

import math

import torch

from common.config import Config
from common.errors import ConfigError
from common.game_spec import GameSpec
from common.network import network_for
from common.segment import MAX_FRAMES, max_steps
from common.wire import MAX_FRAME_FIELD_BYTES, MAX_META_BYTES, MAX_VALUE_BYTES

_META_BYTES = 4096
"""Names, numbers and an episode's summary in a segment's metadata, and its two stream entries."""
_VALUE_BYTES = 65_536
"""What surrounds the numbers of a weights blob or of a snapshot."""
_ROOM = 1.25
"""Retention trims behind the capacity, and a rewrite of the append-only file takes buffers."""
_ROUND_BYTES = 100_000_000


def require_possible(config: Config, spec: GameSpec, *, private_redis: bool) -> None:
    """Refuses a run that Redis could not carry.

    Args:
        config: the run's configuration.
        spec: shapes of its game.
        private_redis: whether ``replay.max_redis_bytes`` is the server's memory limit.

    Raises:
        ConfigError: with the number that is needed and a setting to paste.
    """
    _require_segment(config, spec)
    _require_weights(config, spec)
    _require_snapshot(config)
    if private_redis:
        _require_memory(config, spec)


def weights_bytes(config: Config, spec: GameSpec) -> int:
    """Returns the bytes of one broadcast of weights."""
    with torch.device("meta"):
        tensors = network_for(spec, config).state_dict().values()
    return sum(int(tensor.nbytes) for tensor in tensors) + _VALUE_BYTES


def log_bytes(config: Config, spec: GameSpec) -> int:
    """Returns the least memory that Redis needs for a full replay, in segments of full length."""
    steps = max_steps(spec.history)
    segments = math.ceil(config.replay.capacity / (steps - config.learner.n_step + 1))
    return segments * (_allocated(MAX_FRAMES * spec.frame_bytes) + _meta_bytes(spec))


def _meta_bytes(spec: GameSpec) -> int:
    """Returns the bytes of a full segment's actions, rewards, priorities, features and the rest."""
    steps = max_steps(spec.history)
    return 9 * steps + 4 * (steps + 1) * spec.n_features + _META_BYTES


def _allocated(size: int) -> int:
    """Returns what jemalloc sets aside for so many bytes: four size classes to each power of two."""
    step = 1 << max(4, (size - 1).bit_length() - 3)
    return math.ceil(size / step) * step


def _require_segment(config: Config, spec: GameSpec) -> None:
    steps = max_steps(spec.history)
    if steps < config.learner.n_step:
        raise ConfigError(
            f"The game {config.game.name} stacks {spec.history} frames, and learner.n_step is "
            f"{config.learner.n_step}.",
            f"A segment holds {MAX_FRAMES} frames, and no transition fits in it.",
            f"--set learner.n_step={steps}" if steps > 0 else "Stack fewer frames in the game.",
        )
    frames = MAX_FRAMES * spec.frame_bytes
    if frames > MAX_FRAME_FIELD_BYTES:
        side = math.isqrt(MAX_FRAME_FIELD_BYTES // MAX_FRAMES)
        raise ConfigError(
            f"A frame of {spec.frame_height} x {spec.frame_width} pixels is too large.",
            f"A segment of {MAX_FRAMES} frames takes {frames} bytes; the log accepts "
            f"{MAX_FRAME_FIELD_BYTES}.",
            f"--set game.image_size={side}, or a smaller frame from the game",
        )
    meta = _meta_bytes(spec)
    if meta > MAX_META_BYTES:
        raise ConfigError(
            f"{spec.n_features} features are too many.",
            f"A segment's metadata takes {meta} bytes; the log accepts {MAX_META_BYTES}.",
            "--set game.action_history=0, or fewer features from the game",
        )


def _require_weights(config: Config, spec: GameSpec) -> None:
    needed = weights_bytes(config, spec)
    if needed > MAX_VALUE_BYTES:
        raise ConfigError(
            f"The network is too large: its weights take {needed} bytes.",
            f"They travel as one value of Redis, which accepts {MAX_VALUE_BYTES}.",
            f"--set network.hidden={_narrower(config, spec)}, or larger network.conv_strides",
        )


def _narrower(config: Config, spec: GameSpec) -> int:
    """Returns the widest power of two for the streams whose weights fit; 1 where none does."""
    hidden = 1 << (config.network.hidden.bit_length() - 1)
    while hidden > 1:
        network = config.network.model_copy(update={"hidden": hidden})
        narrower = config.model_copy(update={"network": network})
        if weights_bytes(narrower, spec) <= MAX_VALUE_BYTES:
            break
        hidden //= 2
    return hidden


def _require_snapshot(config: Config) -> None:
    needed = 4 * config.replay.capacity + _VALUE_BYTES
    if needed > MAX_VALUE_BYTES:
        raise ConfigError(
            f"replay.capacity is too large: {config.replay.capacity} transitions.",
            f"A snapshot of their priorities takes {needed} bytes as one value of Redis, which "
            f"accepts {MAX_VALUE_BYTES}.",
            f"--set replay.capacity={(MAX_VALUE_BYTES - _VALUE_BYTES) // 4}",
        )


def _require_memory(config: Config, spec: GameSpec) -> None:
    needed, limit = log_bytes(config, spec), config.replay.max_redis_bytes
    if needed > limit:
        enough = math.ceil(needed * _ROOM / _ROUND_BYTES) * _ROUND_BYTES
        fitting = int(config.replay.capacity * limit / needed / _ROOM)
        raise ConfigError(
            f"The replay outgrows Redis: replay.max_redis_bytes is {limit}.",
            f"{config.replay.capacity} transitions of {spec.frame_bytes} bytes a frame take at "
            f"least {needed} bytes.",
            f"--set replay.max_redis_bytes={enough}, or --set replay.capacity={fitting}",
        )
