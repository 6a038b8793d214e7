"""What the stand-in shows when it shows no race: a menu that moves, and the pop-up at the finish."""

import numpy as np
from numpy.typing import NDArray

_STRIPE_TICKS = 2
_DARK, _LIGHT = (24, 40, 72), (60, 96, 150)
_ENTRY, _CHOSEN = (210, 214, 222), (250, 190, 40)
_ENTRIES = 4
_BLINK_TICKS = 40


def paint_menu(picture: NDArray[np.uint8], ticks: int) -> None:
    """Paints the menu: stripes that wander, and entries of which one after the other lights up.

    Args:
        picture: uint8 (height, width, 3); filled.
        ticks: how long the menu has been open, in sixtieths of a second.
    """
    height, width = picture.shape[:2]
    wide = max(width // 8, 2)
    columns = (np.arange(width) + ticks // _STRIPE_TICKS) // wide % 2 == 0
    picture[:] = np.where(columns[None, :, None], _DARK, _LIGHT)
    chosen = ticks // _BLINK_TICKS % _ENTRIES
    for entry in range(_ENTRIES):
        top = height * (2 + 2 * entry) // 12
        colour = _CHOSEN if entry == chosen else _ENTRY
        picture[top : top + max(height // 12, 1), width // 8 : width // 2] = colour


def paint_pop_up(picture: NDArray[np.uint8]) -> None:
    """Paints the pop-up of the finish over the upper part of a picture.

    Args:
        picture: uint8 (height, width, 3); changed in place.
    """
    height, width = picture.shape[:2]
    picture[height // 8 : height // 3, width // 4 : width * 3 // 4] = _ENTRY
    picture[height // 6 : height // 4, width // 3 : width * 2 // 3] = _CHOSEN
