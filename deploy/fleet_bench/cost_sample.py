"""What the measured processes have used so far, and what lies between two such moments."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from replay_server.connection import Client, call


@dataclass(frozen=True, slots=True)
class CostSample:
    """One moment.

    Attributes:
        at_s: monotonic time, seconds.
        cpu_s: CPU seconds of each measured process so far; ``rewrite`` stands for the children with which
            Redis rewrites its append-only file now and then.
        rss_bytes: resident memory of each.
        redis: Redis's own counters, from INFO.
        busy_s: CPU seconds of the whole machine that were not idle.
    """

    at_s: float
    cpu_s: Mapping[str, float]
    rss_bytes: Mapping[str, int]
    redis: Mapping[str, Any]
    busy_s: float


def take_sample(connection: Client, pids: Mapping[str, int]) -> CostSample:
    """Returns the counters of now.

    Args:
        connection: Redis as a user that may ask for INFO.
        pids: process ids by name.
    """
    cpu_s, rss_bytes = {}, {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        times = process.cpu_times()
        cpu_s[name] = times.user + times.system
        if name == "redis":
            cpu_s["rewrite"] = times.children_user + times.children_system
        rss_bytes[name] = process.memory_info().rss
    whole = psutil.cpu_times()
    return CostSample(
        at_s=time.monotonic(),
        cpu_s=cpu_s,
        rss_bytes=rss_bytes,
        redis=call(connection, "INFO"),
        busy_s=sum(whole) - whole.idle - whole.iowait,
    )


def usage(before: CostSample, after: CostSample) -> dict[str, float]:
    """Returns what was used between two samples, by the second where it flows.

    CPU in cores, memory in bytes, Redis's network in bytes a second, its commands a second.
    """
    seconds = after.at_s - before.at_s

    def rate(counter: str) -> float:
        return float(after.redis[counter] - before.redis[counter]) / seconds

    return {
        **{
            f"{name}_cpu": (after.cpu_s[name] - before.cpu_s[name]) / seconds
            for name in after.cpu_s
        },
        "redis_used_bytes": float(after.redis["used_memory"]),
        "redis_client_bytes": float(after.redis["mem_clients_normal"]),
        "service_rss_bytes": float(after.rss_bytes["service"]),
        "ingest_rss_bytes": float(after.rss_bytes["ingest"]),
        "redis_in_bytes_per_s": rate("total_net_input_bytes"),
        "redis_out_bytes_per_s": rate("total_net_output_bytes"),
        "redis_commands_per_s": rate("total_commands_processed"),
        "redis_connections": float(after.redis["connected_clients"]),
        "machine_busy": (after.busy_s - before.busy_s) / seconds / (psutil.cpu_count() or 1),
    }
