"""One process of a run that is put through faults: ``python -m tests.support.fault_member ROLE ...``.

Each writes its log as lines of JSON with the machine's monotonic clock, which is the same for all processes.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import structlog

from actors.heartbeat import Heartbeat
from actors.weights_follower import WeightsFollower
from common.contract import Contract, fingerprint, make_contract
from common.errors import ApexManiaError
from common.keys import Keys
from learner.loop import run_learner
from replay_server import log_writer
from replay_server.connection import connect
from replay_server.contract_store import get_contract
from replay_server.log_writer import LogWriter, WriterCounters
from replay_server.process import ReplayProcess
from tests.support.broken_links import LINKS
from tests.support.learner_inputs import SMALL as SPEC
from tests.support.learner_inputs import small_config
from tests.support.segments import make_segment

STEPS = 20
"""Transitions of each segment that a writing actor appends."""
TAGS_OF_A_LIFE = 20_000
"""A tag is a reward, and no reward beyond a million is believed: enough for fifty starts of half an hour."""
HEARTBEAT_S = 0.5
_TICK_S = 0.02
_FENCED_EXIT = 5


def rig_contract(*, capacity: int = 200_000) -> Contract:
    """Returns the contract of a run of pretended segments, the same whatever becomes of the code."""
    small = small_config(replay_start_size=200)
    config = small.model_copy(
        update={
            "replay": small.replay.model_copy(
                update={"capacity": capacity, "snapshot_period_s": 1.0, "samples_per_insert": 0.5}
            ),
            "checkpoint": small.checkpoint.model_copy(
                update={"every_episodes": 1, "min_period_s": 1.0}
            ),
        }
    )
    unsealed = replace(make_contract(config, SPEC), code_version="0" * 64)
    return replace(unsealed, fingerprint=fingerprint(unsealed.terms()))


def main() -> None:
    """Runs the role until it is told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--url", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--life", type=int, default=0)
    parser.add_argument("--rate", type=float, default=10.0, help="segments a second")
    parser.add_argument("--link", choices=LINKS, default="sound")
    parser.add_argument("--old-code", action="store_true")
    options = parser.parse_args()
    _log_as_lines(options.name or options.role)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        ROLES[options.role](options, stop)
    except ApexManiaError as error:
        structlog.get_logger().error("member_ended", what=error.what, exit_code=error.exit_code)
        sys.exit(error.exit_code)


def _log_as_lines(name: str) -> None:
    def stamp(_: object, level: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"t": time.monotonic(), "level": level, "name": name, **event}

    structlog.configure(
        processors=[stamp, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _serve_replay(options: argparse.Namespace, stop: threading.Event) -> None:
    process = ReplayProcess(options.url, Keys(options.run))
    threading.Thread(target=lambda: (stop.wait(), process.stop()), daemon=True).start()
    process.run()


def _learn(options: argparse.Namespace, _: threading.Event) -> None:
    keys = Keys(options.run)
    contract = get_contract(connect(options.url, name="learner"), keys)
    assert contract is not None
    run_learner(
        contract.config,
        SPEC,
        contract,
        redis_url=options.url,
        keys=keys,
        run_dir=options.folder,
        resume=options.life > 0,
    )


def _write(options: argparse.Namespace, stop: threading.Event) -> None:
    """Appends numbered segments at a steady rate, and keeps a ledger of what became of them."""
    log_writer.LogLink = LINKS[options.link]  # type: ignore[misc]
    contract = "f" * 64 if options.old_code else rig_contract().fingerprint
    keys, name = Keys(options.run), options.name
    weights = WeightsFollower(
        options.url, keys, name=f"{name}-weights", contract=rig_contract().fingerprint, period_s=0.2
    )
    weights.start()
    writer = LogWriter(
        options.url,
        keys,
        name,
        spool_dir=options.folder / "spool",
        spool_max_bytes=10**9,
        contract=contract,
    )

    def facts() -> dict[str, object]:
        found = weights.counters
        return {
            **asdict(writer.counters()),
            "role": "actor",
            "pid": os.getpid(),
            "weights_fetched": found.fetched,
            "weights_corrupt": found.corrupt,
        }

    heart = Heartbeat(options.url, keys, name=name, facts=facts, period_s=HEARTBEAT_S)
    heart.start()
    with (options.folder / f"{name}.{options.life}.ledger").open("a") as ledger:
        _write_on(writer, ledger, options, stop)
        writer.close()
        _note(ledger, writer.counters())
    heart.close()
    weights.close()
    if writer.fenced:
        sys.exit(_FENCED_EXIT)


def _write_on(
    writer: LogWriter, ledger: TextIO, options: argparse.Namespace, stop: threading.Event
) -> None:
    tag, due_s, noted = 0, time.monotonic(), None
    while not stop.wait(_TICK_S) and not writer.fenced:
        writer.raise_failure()
        while time.monotonic() >= due_s:
            due_s = max(due_s + 1.0 / options.rate, time.monotonic() - 1.0)
            writer.append(
                make_segment(
                    spec=SPEC,
                    tag=options.life * TAGS_OF_A_LIFE + tag,
                    steps=STEPS,
                    episode=tag // 5,
                    first_step=tag % 5 * STEPS,
                    end=tag % 5 == 4,
                )
            )
            tag += 1
        counters = writer.counters()
        if counters != noted:
            noted = counters
            _note(ledger, counters)


def _note(ledger: TextIO, counters: WriterCounters) -> None:
    """Adds a line; what a killed process noted stays, as the system holds it."""
    ledger.write(
        json.dumps(
            {
                "t": time.monotonic(),
                "wall": time.time(),
                "appended": counters.appended_transitions,
                "acked": counters.acked_transitions,
                "dropped": counters.dropped_transitions,
                "resent": counters.resent_segments,
            }
        )
        + "\n"
    )
    ledger.flush()


ROLES = {"replay": _serve_replay, "learner": _learn, "actor": _write}

if __name__ == "__main__":
    main()
