"""What one more actor costs: the difference between two fleets, by the actors that came."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from deploy.fleet_bench.bench import BenchStep

FLAT = 1.2
"""The cost of an added actor is called flat while it grows to no more than this of what it was."""
_CPU = ("redis_cpu", "service_cpu", "ingest_cpu")
_MEMORY = ("redis_used_bytes", "service_rss_bytes", "ingest_rss_bytes")
_IN, _OUT = "redis_in_bytes_per_s", "redis_out_bytes_per_s"


@dataclass(frozen=True, slots=True)
class Measure:
    """One cost of an actor.

    Attributes:
        name: key in JSON.
        title: for people.
        unit: of the cost of one actor.
        of: returns the cost of a whole fleet in that unit.
    """

    name: str
    title: str
    unit: str
    of: Callable[[Mapping[str, float]], float]


MEASURES: tuple[Measure, ...] = (
    Measure("cpu", "CPU of all three", "ms/s", lambda used: sum(1e3 * used[key] for key in _CPU)),
    Measure("redis_cpu", "CPU of Redis", "ms/s", lambda used: 1e3 * used["redis_cpu"]),
    Measure("service_cpu", "CPU of the service", "ms/s", lambda used: 1e3 * used["service_cpu"]),
    Measure("ingest_cpu", "CPU of the ingest", "ms/s", lambda used: 1e3 * used["ingest_cpu"]),
    Measure(
        "memory", "memory of all three", "kB", lambda used: sum(1e-3 * used[key] for key in _MEMORY)
    ),
    Measure("bytes_in", "bytes into Redis", "kB/s", lambda used: 1e-3 * used[_IN]),
    Measure("bytes_out", "bytes out of Redis", "kB/s", lambda used: 1e-3 * used[_OUT]),
    Measure("commands", "Redis commands", "1/s", lambda used: used["redis_commands_per_s"]),
)


@dataclass(frozen=True, slots=True)
class AddedCost:
    """What each actor cost that came between two fleets.

    Attributes:
        below: actors before.
        above: actors after.
        costs: cost of one added actor by the name of its measure.
        ratios: the same divided by that of the first two fleets.
    """

    below: int
    above: int
    costs: dict[str, float]
    ratios: dict[str, float]


def added_costs(steps: Sequence[BenchStep]) -> list[AddedCost]:
    """Returns the costs between each fleet and the next, of those that the machine could keep up with."""
    found: list[AddedCost] = []
    for below, above in pairwise(step for step in steps if not step.saturated):
        came = above.actors - below.actors
        costs = {
            measure.name: (measure.of(above.usage) - measure.of(below.usage)) / came
            for measure in MEASURES
        }
        first = found[0].costs if found else costs
        ratios = {name: cost / first[name] if first[name] else 1.0 for name, cost in costs.items()}
        found.append(AddedCost(below.actors, above.actors, costs, ratios))
    return found
