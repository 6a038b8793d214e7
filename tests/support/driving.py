"""Episodes of random pictures, cut into segments as actors cut them, with what the driver saw."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from actors.segment_builder import SegmentBuilder
from common.game_spec import GameSpec
from common.segment import Segment


@dataclass(frozen=True)
class SeenStep:
    """One env step as the driver saw it."""

    stack: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]
    action: int
    reward: float
    terminated: bool
    truncated: bool


@dataclass(frozen=True)
class SeenTransition:
    """A transition computed from what was seen, by walking ahead."""

    stack: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]
    action: int
    n_step_return: float
    discount: float
    next_stack: npt.NDArray[np.uint8]
    next_features: npt.NDArray[np.float32]


class Driver:
    """One actor that drives nothing but random pictures."""

    def __init__(
        self, spec: GameSpec, *, actor: str, n_step: int, contract: str, seed: int
    ) -> None:
        self.spec = spec
        self.n_step = n_step
        self.rng = np.random.default_rng(seed)
        self.builder = SegmentBuilder(actor=actor, spec=spec, n_step=n_step, contract=contract)

    def episode(
        self, length: int, *, terminated: bool
    ) -> tuple[list[Segment], list[SeenTransition]]:
        """Drives one episode; returns its segments and its transitions at discount 0.9."""
        spec, rng = self.spec, self.rng
        shape = (spec.frame_height, spec.frame_width)
        stack = rng.integers(0, 256, (spec.history, *shape), dtype=np.uint8)
        features = rng.normal(size=spec.n_features).astype(np.float32)
        self.builder.start({"image": stack, "features": features})
        steps: list[SeenStep] = []
        segments: list[Segment] = []
        for index in range(length):
            last = index == length - 1
            action, reward = int(rng.integers(spec.n_actions)), float(np.float32(rng.normal()))
            ends = (last and terminated, last and not terminated)
            steps.append(SeenStep(stack, features, action, reward, *ends))
            frame = rng.integers(0, 256, (1, *shape), dtype=np.uint8)
            stack = np.concatenate([stack[1:], frame])
            features = rng.normal(size=spec.n_features).astype(np.float32)
            segments += self.builder.push(
                action,
                reward,
                {"image": stack, "features": features},
                terminated=ends[0],
                truncated=ends[1],
                info={},
            )
        seen = [transition(steps, index, (stack, features), self.n_step) for index in range(length)]
        return segments, seen


def transition(
    steps: list[SeenStep],
    index: int,
    after: tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]],
    n_step: int,
    discount: float = 0.9,
) -> SeenTransition:
    """Walks ``n_step`` steps ahead, or to the end of the episode."""
    now = steps[index]
    value, gamma, at = 0.0, 1.0, index
    for _ in range(n_step):
        value += gamma * steps[at].reward
        gamma *= discount
        over = steps[at].terminated or steps[at].truncated
        gamma = 0.0 if steps[at].terminated else gamma
        at += 1
        if over:
            break
    next_stack, next_features = (steps[at].stack, steps[at].features) if at < len(steps) else after
    return SeenTransition(
        now.stack, now.features, now.action, value, gamma, next_stack, next_features
    )


def numbered(segments: list[Segment], *, epoch: int = 1) -> list[Segment]:
    """Gives each actor's segments the epoch and the sequence numbers of its log."""
    seqs: dict[str, int] = {}
    out = []
    for segment in segments:
        seqs[segment.meta.actor] = seqs.get(segment.meta.actor, 0) + 1
        meta = replace(segment.meta, epoch=epoch, seq=seqs[segment.meta.actor])
        out.append(replace(segment, meta=meta))
    return out
