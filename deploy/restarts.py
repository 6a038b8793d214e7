"""Counts how often Ray started each member anew, and ends a run in which one only ever dies."""

from collections.abc import Mapping

from common.errors import MachineError

MOST = 20
"""Restarts of one member without a learner step in between, after which the run is given up."""


class Restarts:
    """Restarts of the members of a fleet, since the last learner step and altogether."""

    def __init__(self, *, most: int = MOST) -> None:
        """Begins with none.

        Args:
            most: restarts of one member without a learner step that are still endured.
        """
        self._most = most
        self._counts: dict[str, int] = {}
        self._at_last_step: dict[str, int] = {}
        self._learner_steps = 0

    def note(self, counts: Mapping[str, int], *, learner_steps: int) -> list[str]:
        """Takes the newest counts and returns what to say about them, a line for each death.

        Args:
            counts: restarts of each member so far.
            learner_steps: learner steps so far.

        Raises:
            MachineError: one member was started anew too often without a learner step.
        """
        if learner_steps > self._learner_steps:
            self._learner_steps = learner_steps
            self._at_last_step = dict(self._counts)
        lines = [
            f"The {name} died and was started again ({count} times so far)."
            for name, count in counts.items()
            if count > self._counts.get(name, 0)
        ]
        self._counts = dict(counts)
        for name, count in counts.items():
            in_vain = count - self._at_last_step.get(name, 0)
            if in_vain > self._most:
                raise MachineError(
                    f"The {name} died {in_vain} times without a learner step in between.",
                    "something kills it each time: too little memory, a broken driver or game",
                    "read the run's logs/ray and dmesg, mend that, then resume the run",
                )
        return lines
