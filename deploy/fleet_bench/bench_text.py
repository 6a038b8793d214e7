"""A bench as text for a person."""

from collections.abc import Iterator

from deploy.fleet_bench.added_cost import FLAT, MEASURES, added_costs
from deploy.fleet_bench.bench import BenchReport, BenchStep

_SCALE_DOWN = 4
_LEAST_CPU_S = 1.0
"""CPU that lies between two fleets, seconds; less is within the noise of the system's clocks."""


def heading(frames_per_second: float) -> str:
    """Returns the title of the table that ``step_line`` continues."""
    return (
        f"Synthetic actors at {frames_per_second:g} env steps a second each. CPU in cores, memory in MB.\n"
        "actors  on time   redis  service  ingest   Redis MB  in MB/s  out MB/s  commands/s  "
        "to index p50   p99 ms  machine"
    )


def step_line(step: BenchStep) -> str:
    """Returns one fleet as a line of the table."""
    used = step.usage
    return (
        f"{step.actors:6,}  {step.on_time:7.1%}  {used['redis_cpu']:6.3f}  {used['service_cpu']:7.3f}"
        f"  {used['ingest_cpu']:6.3f}  {used['redis_used_bytes'] / 1e6:9,.1f}"
        f"  {used['redis_in_bytes_per_s'] / 1e6:7,.1f}  {used['redis_out_bytes_per_s'] / 1e6:8,.1f}"
        f"  {used['redis_commands_per_s']:10,.0f}  {step.delay_p50_ms:12,.1f}  {step.delay_p99_ms:7,.1f}"
        f"  {used['machine_busy']:7.0%}"
    )


def conclusion(report: BenchReport) -> str:
    """Returns the cost of an added actor, whether it stays flat, and whether anything was lost."""
    return "\n".join((*_costs(report), *_noise(report), *_saturation(report), *_books(report)))


def _costs(report: BenchReport) -> Iterator[str]:
    costs = added_costs(report.steps)
    if not costs:
        return
    yield "\nOne added actor costs          " + "".join(
        f"{f'{cost.below:,} to {cost.above:,}':>16}" for cost in costs
    )
    for measure in MEASURES:
        values = "".join(f"{cost.costs[measure.name]:16.3f}" for cost in costs)
        yield f"  {measure.title + ', ' + measure.unit:29}{values}"
    for measure in MEASURES:
        if len(costs) > 1:
            ratio = costs[-1].ratios[measure.name]
            word = "flat" if ratio <= FLAT else "NOT flat"
            yield f"  {measure.title}: {ratio:.2f} of the first added actors' ({word})"


def _noise(report: BenchReport) -> Iterator[str]:
    for cost in added_costs(report.steps):
        cpu_s = abs(1e-3 * cost.costs["cpu"]) * (cost.above - cost.below) * report.seconds
        if cpu_s < _LEAST_CPU_S:
            yield (
                f"Too little to tell: {cpu_s:.1f} s of CPU lie between {cost.below:,} and {cost.above:,} "
                "actors, so these costs are mostly noise. Use larger fleets, or a larger --seconds"
            )
            return


def _saturation(report: BenchReport) -> Iterator[str]:
    late = [step.actors for step in report.steps if step.saturated]
    if late:
        slower = report.frames_per_second / _SCALE_DOWN
        yield (
            f"This machine was too slow for {late[0]:,} actors beside their generator: the figures from there "
            f"on are its own and not the design's. Fewer frames with as many actors: "
            f"--frames-per-second {slower:g}"
        )


def _books(report: BenchReport) -> Iterator[str]:
    sent, indexed, ingested = (
        report.transitions_sent,
        report.transitions_indexed,
        report.transitions_ingested,
    )
    word = "nothing lost" if report.nothing_lost else "THEY DISAGREE"
    yield (
        f"{sent:,} transitions acknowledged to actors, {indexed:,} indexed, {ingested:,} ingested: {word}."
    )
