"""Somebody who holds an actor's credentials and wants to stop everybody else."""

import contextlib
import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.synchronize import Event

import msgpack
import redis

from common.keys import Keys
from common.wire import EncodedSegment, encode_segment
from replay_server.connection import call
from tests.support.poison import FOREIGN, POISON
from tests.support.replay_rig import CONTRACT
from tests.support.segments import make_segment

HUGE = 60 * 1024 * 1024
"""Just below the longest value that a private Redis takes."""
BATCH = 500
ESCAPES = "\x1b[2J\x1b]0;pwned\x07<script>alert(1)</script>[/][link=file:///etc/passwd]x"

SOUND_HEART = {"fps": 20.0, "role": "actor", "env_steps": 5}


class HostileActor:
    """One connection with the rights of an actor, and numbers for the entries it writes.

    Args:
        url: with the actor's user and password.
        keys: the run.
        name: the actor's.
    """

    def __init__(self, url: str, keys: Keys, name: str) -> None:
        self.redis = redis.Redis.from_url(url, socket_timeout=20.0, protocol=2)
        self.keys, self.name = keys, name
        self.meta, self.frames, self.heart = keys.meta(name), keys.frames(name), keys.heart(name)
        self.epoch = int(time.time() * 1000)
        self.seqs = itertools.count(1)
        self.model = make_segment(contract=CONTRACT.fingerprint, actor=name, steps=1, end=True)

    def segment(self, seq: int, *, steps: int = 1) -> EncodedSegment:
        """Returns a valid segment."""
        return encode_segment(
            make_segment(
                contract=CONTRACT.fingerprint,
                actor=self.name,
                epoch=self.epoch,
                seq=seq,
                steps=steps,
            )
        )

    def send(self, *commands: tuple[object, ...]) -> None:
        """Sends commands at once and ignores what each of them says."""
        pipe = self.redis.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        pipe.execute(raise_on_error=False)

    def entry(self) -> str:
        """Returns the next id."""
        return f"{self.epoch}-{next(self.seqs)}"


def junk(actor: HostileActor) -> None:
    """All kinds of broken metadata, each with frames."""
    every = [*POISON.values(), *(poison for _, poison in FOREIGN.values())]
    for poison in every:
        seq = next(actor.seqs)
        entry = f"{actor.epoch}-{seq}"
        meta = poison(actor.name, actor.epoch, seq)
        actor.send(
            ("XADD", actor.meta, entry, "m", meta), ("XADD", actor.frames, entry, "f", b"x" * 100)
        )


def huge_metadata(actor: HostileActor) -> None:
    """Metadata as large as Redis takes it."""
    call(actor.redis, "XADD", actor.meta, actor.entry(), "m", b"m" * HUGE)


def huge_frames(actor: HostileActor) -> None:
    """Frames as large as Redis takes them, behind valid metadata."""
    segment = actor.segment(next(actor.seqs))
    actor.send(
        ("XADD", actor.meta, segment.entry_id, "m", segment.meta),
        ("XADD", actor.frames, segment.entry_id, "f", b"f" * HUGE),
    )


def hidden_twin(actor: HostileActor) -> None:
    """A huge field behind a valid one of the same name."""
    segment = actor.segment(next(actor.seqs))
    call(
        actor.redis,
        *("XADD", actor.meta, segment.entry_id, "m", b"m" * HUGE, "m", segment.meta),
    )


def many_fields(actor: HostileActor) -> None:
    """Entries with a thousand fields, one of them valid metadata."""
    segment = actor.segment(next(actor.seqs))
    fields = [part for n in range(1000) for part in (f"x{n}", b"y")]
    call(actor.redis, "XADD", actor.meta, segment.entry_id, "m", segment.meta, *fields)


def orphans(actor: HostileActor) -> None:
    """Frames that no metadata belongs to."""
    actor.send(*(("XADD", actor.frames, actor.entry(), "f", b"f" * 1000) for _ in range(BATCH)))


def frameless(actor: HostileActor) -> None:
    """Valid metadata that no frames belong to."""
    segments = [actor.segment(next(actor.seqs)) for _ in range(BATCH)]
    actor.send(*(("XADD", actor.meta, each.entry_id, "m", each.meta) for each in segments))


def trims_itself(actor: HostileActor) -> None:
    """Valid segments whose frames are thrown away again."""
    segments = [actor.segment(next(actor.seqs)) for _ in range(BATCH)]
    actor.send(
        *(
            command
            for each in segments
            for command in (
                ("XADD", actor.meta, each.entry_id, "m", each.meta),
                ("XADD", actor.frames, "MAXLEN", 1, each.entry_id, "f", each.frames),
            )
        )
    )


def far_future(actor: HostileActor) -> None:
    """The largest ids that there are, behind a valid one of the largest numbers that decode."""
    valid = encode_segment(
        make_segment(
            contract=CONTRACT.fingerprint, actor=actor.name, epoch=2**62, seq=2**62, steps=1
        )
    )
    actor.send(
        ("XADD", actor.meta, valid.entry_id, "m", valid.meta),
        ("XADD", actor.frames, valid.entry_id, "f", valid.frames),
        ("XADD", actor.meta, f"{2**64 - 1}-1", "m", b"x"),
        ("XADD", actor.meta, f"{2**64 - 1}-{2**64 - 1}", "m", b"x"),
    )
    time.sleep(0.2)


def tiny_flood(actor: HostileActor) -> None:
    """Thousands of tiny entries a second."""
    actor.send(*(("XADD", actor.meta, actor.entry(), "m", b"x") for _ in range(10 * BATCH)))


def valid_flood(actor: HostileActor) -> None:
    """Valid segments as fast as they can be made."""
    segments = [actor.segment(next(actor.seqs)) for _ in range(BATCH)]
    actor.send(
        *(
            command
            for each in segments
            for command in (
                ("XADD", actor.meta, each.entry_id, "m", each.meta),
                ("XADD", actor.frames, each.entry_id, "f", each.frames),
            )
        )
    )


def hostile_hearts() -> tuple[bytes, ...]:
    """Returns heartbeats that are huge, broken, of the wrong types, all but empty, or meant for a terminal."""
    hostile_types = {
        "fps": "fast",
        "env_steps": None,
        "faults": [1],
        "fault_causes": [],
        "episode": {},
        "late_steps": float("nan"),
        "last_return": float("inf"),
        "frame": "text",
        "time": 2**63,
        "dropped_transitions": "1e9999",
        "game_state": 7,
        ESCAPES: ESCAPES,
        "n" * 5000: 1,
    }
    others = {"waiting": "so", "leaving": "so", "epoch": "x", "param_version": ESCAPES}
    hearts = (
        *(hostile_types, {}, {"fps": 1e15}, SOUND_HEART, {**SOUND_HEART, **others}),
        {**SOUND_HEART, "game_state": ESCAPES, "host": ESCAPES, "actor": ESCAPES},
        {**SOUND_HEART, "fault_causes": {ESCAPES: 1, 5: 2}},
    )
    return (
        *(b"h" * HUGE, b"\xc1", b"\x91" * 50_000 + b"\xc0", b"\xdf\xff\xff\xff\xff"),
        *(msgpack.packb(heart, strict_types=False) for heart in hearts),
    )


def hearts(actor: HostileActor) -> None:
    """Heartbeats that are huge, broken, immortal, of the wrong types, or meant for a terminal."""
    for value in hostile_hearts():
        call(actor.redis, "SET", actor.heart, value, "EX", 10)
        time.sleep(0.05)
    call(actor.redis, "SET", actor.heart, msgpack.packb(SOUND_HEART))
    time.sleep(0.05)
    call(actor.redis, "SET", actor.heart, msgpack.packb(SOUND_HEART), "EX", 10**9)
    time.sleep(0.05)


def unread_replies(actor: HostileActor) -> None:
    """Asks for the weights a thousand times and reads no answer."""
    connection = actor.redis.connection_pool.get_connection()
    try:
        packed = connection.pack_command("GET", actor.keys.weights)
        connection.send_packed_command(packed * 1000)
        time.sleep(0.5)
    finally:
        connection.disconnect()
        actor.redis.connection_pool.release(connection)


def open_transaction(actor: HostileActor) -> None:
    """Queues more than Redis has memory for, and never executes it."""
    connection = actor.redis.connection_pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_command("MULTI"))
        for _ in range(40):
            command = ("XADD", actor.meta, actor.entry(), "m", b"q" * HUGE)
            connection.send_packed_command(connection.pack_command(*command))
    finally:
        connection.disconnect()
        actor.redis.connection_pool.release(connection)


def stream_facts(actor: HostileActor) -> None:
    """Has Redis tell all it knows of the actor's own stream, again and again."""
    actor.send(*(("XINFO", "STREAM", actor.meta, "FULL", "COUNT", 0) for _ in range(20)))


Attack = Callable[[HostileActor], None]
ATTACKS: Mapping[str, Attack] = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        *(junk, huge_metadata, huge_frames, hidden_twin, many_fields, orphans, frameless),
        *(trims_itself, far_future, tiny_flood, valid_flood, hearts, unread_replies),
        *(open_transaction, stream_facts),
    )
}
"""What a hostile actor may try, by a name that an actor may have."""


@contextmanager
def siege(urls: Mapping[str, str], keys: Keys) -> Iterator[None]:
    """Has every attack go on for the length of a block, each as an actor of its own.

    Args:
        urls: address by the name of the attack, which is the actor's too.
        keys: the run.
    """
    context = multiprocessing.get_context("spawn")
    begun, over = context.Event(), context.Event()
    process = context.Process(target=_besiege, args=(dict(urls), keys, begun, over), daemon=True)
    process.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        over.set()
        process.join(30)
        if process.is_alive():
            process.kill()
            process.join()


def _besiege(urls: dict[str, str], keys: Keys, begun: Event, over: Event) -> None:
    begun.set()
    threads = [
        threading.Thread(target=_repeat, args=(ATTACKS[name], url, keys, name, over), daemon=True)
        for name, url in urls.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _repeat(attack: Attack, url: str, keys: Keys, name: str, over: Event) -> None:
    while not over.is_set():
        actor = HostileActor(url, keys, name)
        with contextlib.suppress(redis.RedisError, OSError):
            while not over.is_set():
                attack(actor)
        actor.redis.close()
        time.sleep(0.05)
