"""What is told about one reported figure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure.

    Attributes:
        name: as it is written.
        unit: its unit, or what it counts.
        meaning: what it says.
        healthy: which values are fine; empty where none is better than another.
        bad: what other values mean; empty where every value is fine.
    """

    name: str
    unit: str
    meaning: str
    healthy: str = ""
    bad: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A place where figures are written together.

    Attributes:
        title: what a person calls it.
        place: file and Redis key.
        metrics: what each of its rows holds.
        sometimes: names that a row may lack.
    """

    title: str
    place: str
    metrics: tuple[Metric, ...]
    sometimes: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """Names of all its figures."""
        return frozenset(metric.name for metric in self.metrics)
