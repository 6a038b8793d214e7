"""From heartbeats to the rows of ``fleet.jsonl``: who is gone, who stands still, what was lost since."""

from typing import Any

from actors.game_link import STARTING
from deploy.run_progress import Row

MEMBERS = ("learner", "replay", "evaluator")
STILL_S = 30.0
STARTING_S = 300.0
"""A game that starts makes no step either, for longer on a busy machine."""
REMEMBERED_S = 3600.0
"""A heartbeat that ended so long ago is not missed any more: its actor was taken away."""


class FleetBook:
    """Remembers what every process said last, and makes a row of what is new."""

    def __init__(self) -> None:
        self._seen_s: dict[str, float] = {}
        self._moved: dict[str, tuple[float, Any]] = {}
        self._counted: dict[tuple[str, str], float] = {}

    @property
    def knows_anybody(self) -> bool:
        """Whether any process was ever heard of."""
        return bool(self._seen_s)

    def staying(self, hearts: dict[str, Row]) -> dict[str, Row]:
        """Returns the heartbeats of those who stay; who says in its last one that it leaves is not missed.

        Call it more often than a heartbeat lives.
        """
        left = {name for name, heart in hearts.items() if heart.get("leaving") is True}
        for name in left - set(MEMBERS):
            self._seen_s.pop(name, None)
            self._moved.pop(name, None)
        return {name: heart for name, heart in hearts.items() if name not in left}

    def pause(self, now_s: float) -> None:
        """Lets everybody be seen again first: nobody could say anything for a while."""
        self._seen_s = dict.fromkeys(self._seen_s, now_s)
        self._moved = {name: (now_s, mark) for name, (_, mark) in self._moved.items()}

    def row(
        self,
        hearts: dict[str, Row],
        *,
        now_s: float,
        time: float,
        env_steps: int,
        episodes: int,
        redis_away_s: float = 0.0,
    ) -> Row:
        """Returns the row over the heartbeats since the row before.

        Args:
            hearts: newest heartbeat of each process that lives.
            now_s: monotonic time in seconds.
            time: Unix time in seconds.
            env_steps: of the fleet.
            episodes: of the fleet.
            redis_away_s: for how long Redis has not answered.
        """
        hearts = self.staying(hearts)
        self._seen_s |= dict.fromkeys(hearts, now_s)
        lost = [
            name
            for name, seen_s in sorted(self._seen_s.items())
            if name not in hearts and now_s - seen_s < REMEMBERED_S
        ]
        actors = {name: heart for name, heart in hearts.items() if "fps" in heart}
        learner, replay = hearts.get("learner", {}), hearts.get("replay", {})
        learner_steps = int(learner.get("learner_steps", 0))
        idle_s = self._unmoved_s("learner", learner_steps, now_s)
        row: Row = {
            "time": time,
            "env_steps": env_steps,
            "episodes": episodes,
            "learner_steps": learner_steps,
            "actors": len(actors),
            "actors_lost": [name for name in lost if name not in MEMBERS],
            "actors_still": self._still(actors, now_s),
            "members_lost": [name for name in lost if name in MEMBERS],
            "learner_idle_s": round(idle_s, 1) if learner_steps else 0.0,
            "redis_away_s": round(redis_away_s, 1),
            "env_steps_per_s": round(sum(_figures(actors, "fps")), 1),
            "driven_steps": self._new(actors, "env_steps"),
            "late_steps": self._new(actors, "late_steps"),
            "staleness_max": max(_figures(actors, "staleness"), default=0),
            "weights_bad": self._new(actors, "weights_corrupt")
            + self._new(actors, "weights_refused"),
            "faults": self._new(actors, "faults"),
            "spooled_bytes_max": max(_figures(actors, "spooled_bytes"), default=0),
            "dropped_transitions": self._new(actors, "dropped_transitions"),
            "quarantined": self._new({"replay": replay}, "quarantined") if replay else 0,
        }
        if replay.get("priority_effective_share") is not None:
            row["priority_effective_share"] = replay["priority_effective_share"]
        return row

    def _still(self, actors: dict[str, Row], now_s: float) -> list[str]:
        """Returns the actors that made no step for long, waiting for the learner left out."""
        still = []
        for name, heart in sorted(actors.items()):
            if heart.get("waiting"):
                self._moved.pop(name, None)
            mark = heart.get("epoch"), heart.get("env_steps")
            patience_s = STARTING_S if heart.get("game_state") == STARTING else STILL_S
            if self._unmoved_s(name, mark, now_s) >= patience_s:
                still.append(name)
        return still

    def _unmoved_s(self, name: str, mark: object, now_s: float) -> float:
        """Returns how long a mark has been what it is."""
        since_s, before = self._moved.get(name, (now_s, mark))
        if before != mark:
            since_s = now_s
        self._moved[name] = since_s, mark
        return now_s - since_s

    def _new(self, hearts: dict[str, Row], field: str) -> float:
        """Returns by how much a count grew over all processes; a new one's begins with what it says."""
        total = 0.0
        for name, heart in hearts.items():
            value = heart.get(field)
            if not isinstance(value, int | float):
                continue
            before = self._counted.get((name, field), value)
            total += value - before if value >= before else value
            self._counted[name, field] = value
        return total


def _figures(actors: dict[str, Row], field: str) -> list[float]:
    """Returns a figure of every actor that says it: an actor writes into its heartbeat what it likes."""
    return [heart[field] for heart in actors.values() if field in heart]
