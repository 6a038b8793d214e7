"""Whether a picture moves: how a silent game tells us what it is doing."""

import time

import numpy as np

from actors.trackmania.window_watch import Picture, WindowWatch

APART_S = 0.5
MOVING_SHARE = 0.02
_LEVELS = 12


def changed_share(before: Picture | None, after: Picture | None) -> float:
    """Returns the share of pixels that differ by more than noise; 1 where the sizes differ.

    A race clock alone changes about a hundredth of the picture; a menu's background, or the road under
    a car that drives, most of it.
    """
    if before is None or after is None:
        return 0.0
    if before.shape != after.shape:
        return 1.0
    difference = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    return float((difference > _LEVELS).mean())


def comes_to_rest(watch: WindowWatch, *, patience_s: float) -> bool:
    """Returns whether two pictures in a row are alike before patience ends; menus never rest.

    Args:
        watch: of the game's window.
        patience_s: long enough for a car to roll out (s).
    """
    end = time.monotonic() + patience_s
    before = watch.grab()
    while time.monotonic() < end:
        time.sleep(APART_S)
        after = watch.grab()
        if changed_share(before, after) < MOVING_SHARE:
            return True
        before = after
    return False


def moves(watch: WindowWatch, *, patience_s: float) -> bool:
    """Returns whether the picture changes before patience ends (s)."""
    end = time.monotonic() + patience_s
    before = watch.grab()
    while time.monotonic() < end:
        time.sleep(APART_S)
        if changed_share(before, watch.grab()) >= MOVING_SHARE:
            return True
    return False
