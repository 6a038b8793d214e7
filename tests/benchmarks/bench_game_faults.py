"""How long each fault of the game takes to be noticed, and to be driving again; a Markdown table.

Run with ``python -m tests.benchmarks.bench_game_faults [fault ...]``; it needs Xvfb and xdotool.
"""

import sys

import structlog

from tests.support.fault_trials import BREAKS, Trials, table


def main() -> None:
    """Print the table of the named faults, or of all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    trials = Trials()
    try:
        for name in sys.argv[1:] or BREAKS:
            trials.run(name)
    finally:
        trials.close()
    print(table(trials.outcomes))


if __name__ == "__main__":
    main()
