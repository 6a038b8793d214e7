"""Appends an actor's segments to the log, without ever holding up the game."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import redis
import structlog

from common.errors import ConfigError, MismatchError
from common.keys import Keys
from common.segment import Segment
from common.wire import MAX_COUNTER, EncodedSegment, encode_segment, valid_actor
from replay_server.index import EntryId
from replay_server.log_link import LogLink
from replay_server.shut_out import ShutOut
from replay_server.spool import Spool, Waiting
from replay_server.stream_end import used_up

LONGEST_APPEND_S = 0.05
BUSY_BYTES = 32 * 1024 * 1024
"""Beyond so much unsent memory ``append`` waits a moment, and the sender goes over to its spool."""
BATCH_SEGMENTS = 8
CONFIRMED_WINDOW_S = 5.0
CONFIRMED_WINDOW_BYTES = 64 * 1024 * 1024
"""Confirmed segments kept to be sent again: a power cut takes at most 2 s of an everysec log."""
LONGEST_PAUSE_S = 1.0
IDLE_CHECK_S = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WriterCounters:
    """What became of an actor's segments.

    Attributes:
        appended_segments: segments given to the writer.
        appended_transitions: transitions in them.
        acked_transitions: transitions that Redis confirmed, each counted once.
        spooled_segments: segments that wait now, in memory or on disk.
        spooled_bytes: bytes that wait now.
        dropped_transitions: transitions given up because the spool was full, damaged or fenced.
        resent_segments: segments sent again because a restarted Redis had lost them.
    """

    appended_segments: int
    appended_transitions: int
    acked_transitions: int
    spooled_segments: int
    spooled_bytes: int
    dropped_transitions: int
    resent_segments: int


class LogWriter:
    """Numbers segments and sends them from a thread of its own.

    Entry ids are ``<epoch>-<seq>``: the epoch is larger for each start, the seq has no gaps. After an
    outage the writer asks the stream for its newest id and sends everything above it again, so nothing
    is lost and nothing is written twice. Where a newer process of the same name wrote meanwhile, this
    one is fenced: it must stop.

    Args:
        url: Redis.
        keys: keyspace of the run.
        actor: name of the actor and of its streams.
        spool_dir: folder for segments that wait while Redis is away; None keeps them in memory.
        spool_max_bytes: beyond it whole oldest episodes are dropped.
        contract: contract fingerprint written into every segment.
        checks_contract: sends nothing to a server that does not have the run under this contract, such
            as one that came up for another run.

    Raises:
        ConfigError: the name cannot be part of a key.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        actor: str,
        *,
        spool_dir: Path | None,
        spool_max_bytes: int,
        contract: str,
        checks_contract: bool = False,
    ) -> None:
        if not valid_actor(actor):
            raise ConfigError(
                f"An actor cannot be called {actor!r}.",
                "its name becomes part of Redis keys and file names",
                "use 1 to 64 letters, digits, dots, dashes or underscores",
            )
        self._url, self._keys, self._actor, self._contract = url, keys, actor, contract
        self._checks_contract = checks_contract
        self._shut_out = ShutOut(url)
        self._failure: MismatchError | None = None
        self._away = False
        folder = None if spool_dir is None else spool_dir / actor
        self._spool = Spool(folder, spool_max_bytes)
        self._spool.load()
        newest = self._spool.waiting[-1].entry_id[0] if self._spool.waiting else 0
        self._epoch = max(int(time.time() * 1000), newest + 1)
        self._seq = 0
        self._confirmed: deque[tuple[float, Waiting]] = deque()
        self._synced = False
        self._fenced = False
        self._closing_at: float | None = None
        self._appended = [0, 0]
        self._acked_transitions = 0
        self._resent_segments = 0
        self._changed = threading.Condition()
        self._link: LogLink | None = None
        self._try_link()
        self._thread = threading.Thread(target=self._run, name=f"log-{actor}", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        """The epoch of this start; final once Redis was reached."""
        return self._epoch

    @property
    def fenced(self) -> bool:
        """Whether a newer process of the same name has taken over; this one must stop."""
        return self._fenced

    def raise_failure(self) -> None:
        """Raises that the server refuses this actor, once it has done so for a while."""
        if self._failure is not None:
            raise self._failure

    def append(self, segment: Segment) -> None:
        """Numbers a segment and queues it; returns at once, or after 50 ms when the sender lags.

        A sender that lags behind for longer spools, whether Redis is away or merely slow.

        Args:
            segment: with epoch 0, seq 0 and any contract; the writer fills them in.
        """
        with self._changed:
            if self._unsent_bytes() > BUSY_BYTES:
                self._changed.wait(LONGEST_APPEND_S)
            self._seq += 1
            numbered = replace(
                segment.meta,
                actor=self._actor,
                epoch=self._epoch,
                seq=self._seq,
                contract=self._contract,
            )
            encoded = encode_segment(Segment(numbered, segment.frames))
            self._appended[0] += 1
            self._appended[1] += encoded.transitions
            self._spool.append(encoded, numbered)
            if self._fenced:
                self._drop_all()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Waits until Redis confirmed everything; returns whether it did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._spool.waiting, timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Sends what it can in the time; the rest stays in the spool folder, or is dropped."""
        with self._changed:
            self._closing_at = time.monotonic() + timeout_s
            self._changed.notify_all()
        self._thread.join()

    def counters(self) -> WriterCounters:
        """Returns what became of the segments so far."""
        with self._changed:
            return WriterCounters(
                appended_segments=self._appended[0],
                appended_transitions=self._appended[1],
                acked_transitions=self._acked_transitions,
                spooled_segments=len(self._spool.waiting),
                spooled_bytes=self._spool.size_bytes,
                dropped_transitions=self._spool.dropped.transitions,
                resent_segments=self._resent_segments,
            )

    def _run(self) -> None:
        pause_s = 0.05
        while not self._finished():
            if self._link is None and not self._try_link():
                self._to_spool()
                self._rest(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            try:
                if self._send_next():
                    pause_s = 0.05
                    self._shut_out.clear()
                else:
                    self._wait_for_work()
            except (redis.RedisError, OSError) as error:
                self._unlink(error)
                self._to_spool()
                self._rest(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if self._link is None and not self._fenced:
            self._recall_confirmed()
        self._to_spool()
        if self._spool.folder is None:
            with self._changed:
                self._drop_all()
        if self._link is not None:
            self._link.close()

    def _finished(self) -> bool:
        with self._changed:
            if self._closing_at is None:
                return False
            return not self._spool.waiting or time.monotonic() > self._closing_at

    def _try_link(self) -> bool:
        try:
            link = LogLink(self._url, self._keys, self._actor)
            if self._checks_contract and link.fingerprint() != self._contract:
                link.close()
                self._note_away(ConnectionError("this server does not have the run"))
                return False
            last = link.last_entry()
        except (redis.RedisError, OSError) as error:
            self._note_away(error)
            return False
        self._away = False
        if max(last) >= MAX_COUNTER and not self._synced:
            self._failure = used_up(self._actor)
            link.close()
            return False
        with self._changed:
            self._agree(last)
            self._changed.notify_all()
        self._link = link
        return True

    def _agree(self, last: EntryId) -> None:
        """Compares our segments with the newest entry of the stream.

        Whatever lies at or below it is there; whatever was confirmed and lies above it was lost.
        """
        if not self._synced:
            self._settle_epoch(last)
        elif last > (self._epoch, self._seq):
            _log.error("actor_fenced", actor=self._actor, epoch=self._epoch, newer=last[0])
            self._fenced = True
            self._drop_all()
            return
        self._synced = True
        while self._spool.waiting and self._spool.waiting[0].entry_id <= last:
            self._confirm(self._spool.remove_first())
        while self._confirmed and self._confirmed[-1][1].entry_id > last:
            waiting = self._confirmed.pop()[1]
            waiting.resent = True
            self._resent_segments += 1
            self._spool.put_back(waiting)

    def _settle_epoch(self, last: EntryId) -> None:
        """Chooses the epoch for good, and gives up what another process's newer epoch shuts out."""
        own = {waiting.entry_id[0] for waiting in self._spool.waiting}
        if last[0] >= self._epoch:
            old, self._epoch = self._epoch, last[0] + 1
            own.discard(old)
            self._spool.change_epoch(old=old, new=self._epoch)
        if last[0] not in own:
            while self._spool.waiting and self._spool.waiting[0].entry_id <= last:
                self._spool.drop_first()

    def _confirm(self, waiting: Waiting) -> None:
        if not waiting.resent:
            self._acked_transitions += waiting.transitions
        if waiting.encoded is not None:
            self._confirmed.append((time.monotonic(), waiting))

    def _send_next(self) -> bool:
        """Sends the oldest waiting segments; returns whether there were any."""
        assert self._link is not None
        with self._changed:
            chosen = list(self._first_waiting())
        if not chosen:
            return False
        taken = self._link.append([encoded for _, encoded in chosen])
        if not taken:
            self._unlink(None)
            return True
        with self._changed:
            for waiting, _ in chosen:
                assert self._spool.waiting[0] is waiting
                self._confirm(self._spool.remove_first())
            self._forget_confirmed()
            self._changed.notify_all()
            lags = self._unsent_bytes() > BUSY_BYTES
            lags = lags or self._spool.size_bytes > self._spool.max_bytes
        if lags:
            self._to_spool()
        return True

    def _first_waiting(self) -> Iterator[tuple[Waiting, EncodedSegment]]:
        chosen = 0
        while chosen < min(BATCH_SEGMENTS, len(self._spool.waiting)):
            waiting = self._spool.waiting[chosen]
            encoded = self._spool.fetch(waiting)
            if encoded is not None:
                chosen += 1
                yield waiting, encoded
            elif chosen == 0:
                self._spool.drop_first()
            else:
                return

    def _recall_confirmed(self) -> None:
        """Keeps on disk what Redis confirmed just before it went away: it may come back without that."""
        if self._spool.folder is None:
            return
        with self._changed:
            while self._confirmed:
                waiting = self._confirmed.pop()[1]
                waiting.resent = True
                self._spool.put_back(waiting)

    def _forget_confirmed(self) -> None:
        oldest = time.monotonic() - CONFIRMED_WINDOW_S
        size = sum(waiting.size_bytes for _, waiting in self._confirmed)
        while self._confirmed and (self._confirmed[0][0] < oldest or size > CONFIRMED_WINDOW_BYTES):
            size -= self._confirmed.popleft()[1].size_bytes

    def _wait_for_work(self) -> None:
        """Waits for a segment; now and then looks whether Redis hung up and may have lost some."""
        with self._changed:
            idle = IDLE_CHECK_S if self._confirmed else None
            if self._spool.waiting or self._closing_at is not None:
                return
            if self._changed.wait(idle):
                return
        assert self._link is not None
        if self._link.closed_by_peer():
            self._unlink(None)
        else:
            self._forget_confirmed()

    def _to_spool(self) -> None:
        with self._changed:
            self._spool.enforce_limit()
            self._changed.notify_all()
        self._spool.move_to_disk()

    def _rest(self, pause_s: float) -> None:
        with self._changed:
            if self._closing_at is not None:
                pause_s = min(pause_s, max(0.0, self._closing_at - time.monotonic()))
            until = time.monotonic() + pause_s
            while self._closing_at is None and time.monotonic() < until:
                self._changed.wait(until - time.monotonic())

    def _unlink(self, error: redis.RedisError | OSError | None) -> None:
        if error is not None:
            self._note_away(error)
        if self._link is not None:
            self._link.close()
        self._link = None

    def _note_away(self, error: redis.RedisError | OSError) -> None:
        if not self._away:
            _log.warning("log_away", actor=self._actor, error=str(error))
        self._away = True
        self._failure = self._shut_out.note(error)

    def _unsent_bytes(self) -> int:
        return sum(
            waiting.size_bytes for waiting in self._spool.waiting if waiting.encoded is not None
        )

    def _drop_all(self) -> None:
        while self._spool.waiting:
            self._spool.drop_first()
