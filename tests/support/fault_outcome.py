"""What became of one fault: a row of the table."""

from dataclasses import dataclass

NOTICED_S = 10.0
"""The longest of the contract: a heartbeat's life. Most signs come within the 2 s of a socket's patience."""
SLACK_S = 10.0


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
        must_sign: whether there has to be a sign.
        starts_s: the part of ``detected_s`` for which a process was only being started.
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
    must_sign: bool = True
    starts_s: float = 0.0

    @property
    def signed(self) -> bool:
        """Whether there was a sign in time."""
        if self.detected_s is None:
            return False
        return self.detected_s - self.starts_s < NOTICED_S + SLACK_S

    @property
    def holds(self) -> bool:
        """Whether the invariant held; without a rule of the log, whether it was seen to break."""
        if self.must_lose:
            return self.lost > 0 or self.doubled > 0
        return self.lost <= self.may_lose and self.doubled == 0


def assert_holds(outcome: Outcome) -> None:
    """Asserts that nothing was lost or doubled, that all recovered, and that the fault was noticed in time."""
    assert (outcome.holds, outcome.doubled) == (True, 0), outcome
    assert outcome.recovered_s is not None, outcome
    assert outcome.signed or not outcome.must_sign, outcome
