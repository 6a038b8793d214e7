"""Imports tmrl in a process of its own and lets it resize the game's window, as an actor's would.

    python -m deploy.doctor.tmrl_program HOME
    256 128

Prints tmrl's version when it is imported, then ``resized`` for each size asked for.
"""

import importlib.metadata
import os
import sys

_HOME_VARIABLES = ("HOME", "USERPROFILE")


def main() -> None:
    """Serves until stdin ends."""
    # tmrl logs to stdout; the answers keep the descriptor to themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(_HOME_VARIABLES, sys.argv[1]))
    import tmrl  # noqa: F401 - the point of this program
    from tmrl.custom.tm.utils.window import WindowInterface

    # The X server's key lies in the real home; tmrl also sets a key of W&B.
    os.environ.clear()
    os.environ.update(before)
    answers.write(importlib.metadata.version("tmrl") + "\n")
    answers.flush()
    for line in sys.stdin:
        width, height = (int(word) for word in line.split())
        WindowInterface("Trackmania").move_and_resize(w=width, h=height)
        answers.write("resized\n")
        answers.flush()


if __name__ == "__main__":
    main()
