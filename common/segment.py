"""The unit that actors append to the log: a self-contained stretch of one episode.

A segment covers ``m`` env steps. Its frames start ``history - 1`` steps before its first step, so no
observation ever reaches into another segment, and end one step after its last:

    frames    f[s-history+1] ... f[s] ... f[s+m]      m + history frames
    features              x[s] ... x[s+m]             m + 1 rows
    actions               a[s] ... a[s+m-1]           m
    rewards               r[s+1] ... r[s+m]           m, one per env step, not yet n-step

A transition needs the rewards of ``n_step`` steps, so a segment inside an episode holds
``m - n_step + 1`` transitions and the next segment starts at the first step without one; the segment
that ends the episode holds all ``m``. Every env step is therefore a transition exactly once, and the
number of transitions in the log is the number of env steps of the fleet.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SCHEMA_VERSION = 1
MAX_FRAMES = 63
"""63 frames of 64x64 stay inside jemalloc's 256 KB size class; 64 would cost a quarter more memory."""


@dataclass(frozen=True, slots=True)
class EpisodeEnd:
    """What an actor reports about an episode when it is over.

    Attributes:
        episode_return: undiscounted sum of rewards.
        steps: env steps of the whole episode.
        reason: the game's word for it: finish, stuck, off_track, time_limit, fault, ...
        finish_ms: lap time in milliseconds, or None where the lap was not finished.
        progress_m: metres along the reward line at the furthest point.
        action_counts: how often each action was taken.
        ended_at: Unix time in seconds on the actor's clock (for display only).
    """

    episode_return: float
    steps: int
    reason: str
    finish_ms: float | None
    progress_m: float
    action_counts: tuple[int, ...]
    ended_at: float


@dataclass(frozen=True, slots=True)
class SegmentMeta:
    """Everything of a segment but its frames; all that the replay service reads.

    Attributes:
        actor: name of the actor, which also names its streams.
        epoch: larger for each start of the actor; fences out an older process of the same name.
        seq: position in the epoch, counting from 1 without gaps.
        episode: the actor's episode number in this epoch, from 0.
        first_step: env step in the episode of the first action.
        param_version: learner step of the weights that drove; -1 before any were seen.
        epsilon: exploration rate while driving.
        n_step: the n that decided how many transitions the segment holds.
        contract: contract fingerprint, hex.
        terminated: the episode ended here; bootstrap with zero.
        truncated: the episode was cut here; bootstrap as usual.
        actions: uint8[m].
        rewards: float32[m].
        features: float32[m + 1, n_features].
        priorities: float32[transitions] computed by the actor, or None for the current maximum.
        end: the episode's summary where it ended here.
    """

    actor: str
    epoch: int
    seq: int
    episode: int
    first_step: int
    param_version: int
    epsilon: float
    n_step: int
    contract: str
    terminated: bool
    truncated: bool
    actions: npt.NDArray[np.uint8]
    rewards: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    priorities: npt.NDArray[np.float32] | None
    end: EpisodeEnd | None

    @property
    def steps(self) -> int:
        """Env steps covered, m."""
        return len(self.actions)

    @property
    def ended(self) -> bool:
        """Whether the episode ended with this segment."""
        return self.terminated or self.truncated

    @property
    def transitions(self) -> int:
        """Transitions that this segment adds to the replay."""
        return self.steps if self.ended else self.steps - self.n_step + 1

    @property
    def entry_id(self) -> str:
        """The explicit Redis stream id, ``<epoch>-<seq>``."""
        return f"{self.epoch}-{self.seq}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as the actor writes it and the learner reads it.

    Attributes:
        meta: all but the frames.
        frames: uint8[m + history, frame_height, frame_width].
    """

    meta: SegmentMeta
    frames: npt.NDArray[np.uint8]


def max_steps(history: int) -> int:
    """Returns the most env steps that fit in one segment, frames included."""
    return MAX_FRAMES - history
