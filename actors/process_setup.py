"""What a process that drives asks of its machine: one thread, and to come last."""

import os

import torch


def share_the_machine(nice: int) -> None:
    """Makes this process use one thread for torch and step back behind the learner.

    A niceness that is already higher stays: only the superuser may lower it.

    Args:
        nice: at least this niceness; systems without it ignore it.
    """
    torch.set_num_threads(1)
    if hasattr(os, "setpriority"):
        current = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(current, nice))
