"""An actor without a game: what it sends to Redis and asks of it is what a real one does, byte for byte."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Contract
from common.keys import Keys
from common.segment import EpisodeEnd, Segment, SegmentMeta
from common.wire import encode_segment
from deploy.fleet_bench.bench_contract import EPISODE_SEGMENTS, FRAME_SIDE, STEPS
from replay_server.connection import connect
from replay_server.fleet_view import read_fleet
from replay_server.hearts import Heart, beat
from replay_server.log_link import LogLink
from replay_server.weights_store import WeightsStore

_MODEL_SEGMENTS = 8


@dataclass(frozen=True, slots=True)
class Appended:
    """One segment that reached the log.

    Attributes:
        actor: who sent it.
        entry_id: its id in the actor's stream.
        transitions: what it adds to the replay.
        sent_s: monotonic time at which it was handed to the connection, seconds.
    """

    actor: str
    entry_id: str
    transitions: int
    sent_s: float


def model_segments(contract: Contract, rng: np.random.Generator) -> list[Segment]:
    """Returns a few whole segments of random pictures, which actors send under their own numbers."""
    spec = contract.spec
    return [
        Segment(
            SegmentMeta(
                actor="model",
                epoch=1,
                seq=1,
                episode=0,
                first_step=0,
                param_version=0,
                epsilon=0.1,
                n_step=contract.config.learner.n_step,
                contract=contract.fingerprint,
                terminated=False,
                truncated=False,
                actions=rng.integers(spec.n_actions, size=STEPS, dtype=np.uint8),
                rewards=rng.normal(size=STEPS).astype(np.float32),
                features=rng.normal(size=(STEPS + 1, spec.n_features)).astype(np.float32),
                priorities=None,
                end=None,
            ),
            rng.integers(
                256,
                size=(STEPS + spec.history, spec.frame_height, spec.frame_width),
                dtype=np.uint8,
            ),
        )
        for _ in range(_MODEL_SEGMENTS)
    ]


class SyntheticActor:
    """One actor of the bench; its caller decides when it does what.

    Args:
        url: Redis as this actor's user.
        keys: the run.
        name: unique in the run.
        models: segments to send, from ``model_segments``.
        begun: segments of its first episode that it has behind it, so that not all end at once.
    """

    def __init__(
        self, url: str, keys: Keys, name: str, models: Sequence[Segment], *, begun: int = 0
    ) -> None:
        self._keys = keys
        self._name = name
        self._models = models
        self._link = LogLink(url, keys, name)
        self._connection = connect(url, name=name)
        self._weights = WeightsStore(self._connection, keys)
        self._epoch = max(int(time.time() * 1000), self._link.last_entry()[0] + 1)
        self._seq = 0
        self._begun = begun
        self._seen_version: int | None = None
        self._fetch_due = True
        self.fetched_weights = 0

    def append(self) -> Appended:
        """Sends the next segment, and returns once Redis has it."""
        number, model = self._begun + self._seq, self._models[self._seq % len(self._models)]
        self._seq += 1
        ends = (number + 1) % EPISODE_SEGMENTS == 0
        meta = replace(
            model.meta,
            actor=self._name,
            epoch=self._epoch,
            seq=self._seq,
            episode=number // EPISODE_SEGMENTS,
            first_step=number % EPISODE_SEGMENTS * STEPS,
            truncated=ends,
            end=_END if ends else None,
        )
        encoded = encode_segment(Segment(meta, model.frames))
        sent_s = time.monotonic()
        taken = self._link.append([encoded])
        assert taken, f"{self._name} {encoded.entry_id} was there already"
        self._fetch_due = self._fetch_due or ends
        return Appended(self._name, encoded.entry_id, encoded.transitions, sent_s)

    def follow_fleet(self) -> None:
        """Asks for the switch, the limiter and its place."""
        read_fleet(self._connection, self._keys, actor=self._name)

    def follow_weights(self) -> None:
        """Asks for the version, and fetches the weights where a new episode needs newer ones."""
        version = self._weights.version()
        if version is not None and version != self._seen_version and self._fetch_due:
            self._weights.fetch()
            self._seen_version = version
            self._fetch_due = False
            self.fetched_weights += 1

    def beat(self) -> None:
        """Writes a heartbeat of the usual size."""
        beat(self._connection, self._keys, self._name, {**_HEART, "actor": self._name})

    def close(self) -> None:
        """Closes both connections."""
        self._link.close()
        self._connection.close()


_END = EpisodeEnd(
    episode_return=12.5,
    steps=EPISODE_SEGMENTS * STEPS,
    reason="time_limit",
    finish_ms=None,
    progress_m=850.0,
    action_counts=(),
    ended_at=0.0,
)
_HEART: Heart = {
    "role": "actor",
    "host": "game-pc",
    "pid": 4242,
    "time": 1.7e9,
    "epoch": 1_700_000_000_000,
    "seq": 1000,
    "fenced": False,
    "env_steps": 59_000,
    "fps": 20.0,
    "late_steps": 0,
    "waiting": False,
    "episode": 100,
    "last_return": 12.5,
    "last_finish_ms": 45_678.0,
    "epsilon": 0.1,
    "param_version": 100_000,
    "staleness": 50,
    "weights_corrupt": 0,
    "weights_refused": 0,
    "faults": 0,
    "fault_causes": {},
    "env_restarts": 0,
    "game_state": "flowing",
    "frame": bytes(range(256)) * (FRAME_SIDE * FRAME_SIDE // 256),
    "appended_segments": 1000,
    "appended_transitions": 59_000,
    "acked_transitions": 59_000,
    "spooled_segments": 0,
    "spooled_bytes": 0,
    "dropped_transitions": 0,
    "resent_segments": 0,
}
