"""What became of one fault: a row of the table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one fault; times in seconds, counts in transitions.

    Attributes:
        detected_s: from the fault to the first sign in a log or among the heartbeats, None without one.
        sign: that sign.
        recovered_s: from the mending to the first new transition, from every actor that was cut off.
        caught_up_s: from the mending until nothing waited any more.
        lost: acknowledged, and the learner's side never got them.
        doubled: the learner's side got them more than once.
        gone: never acknowledged, and died with their actor.
        must_lose: whether a rule of the log was switched off, which must show.
        may_lose: what the fault itself destroyed on the disk.
    """

    name: str
    title: str
    detected_s: float | None
    sign: str
    recovered_s: float | None
    caught_up_s: float | None
    lost: int
    doubled: int
    gone: int
    note: str
    must_lose: bool = False
    may_lose: int = 0

    @property
    def holds(self) -> bool:
        """Whether the invariant held; without a rule of the log, whether it was seen to break."""
        if self.must_lose:
            return self.lost > 0 or self.doubled > 0
        return self.lost <= self.may_lose and self.doubled == 0
