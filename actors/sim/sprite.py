"""The rear of the car as the chase camera sees it, painted once per picture size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEANS = 9
_DETAIL = 6
_WIDTH_M, _HEIGHT_M = 3.2, 1.5

_Colour = tuple[int, int, int]
_BODY: _Colour = (214, 64, 28)
_ROOF: _Colour = (250, 232, 216)
_WINDOW: _Colour = (24, 28, 36)
_DARK: _Colour = (14, 14, 16)
_LAMP: _Colour = (120, 10, 10)
_LAMP_ON: _Colour = (255, 236, 226)


def _shapes(*, braking: bool) -> list[tuple[float, float, float, float, float, float, _Colour]]:
    """Trapezia from back to front: bottom, top (m), half widths there, sideways shear, x centre."""
    lamp = _LAMP_ON if braking else _LAMP
    return [
        (0.00, 0.10, 1.15, 1.15, 0.0, 0.0, _DARK),
        (0.00, 0.62, 0.26, 0.26, 0.0, -0.92, _DARK),
        (0.00, 0.62, 0.26, 0.26, 0.0, 0.92, _DARK),
        (0.22, 0.82, 0.98, 0.92, 0.2, 0.0, _BODY),
        (0.22, 0.40, 0.55, 0.60, 0.2, 0.0, _DARK),
        (0.82, 1.22, 0.78, 0.50, 0.6, 0.0, _ROOF),
        (0.86, 1.12, 0.64, 0.46, 0.6, 0.0, _WINDOW),
        (0.56, 0.74, 0.16, 0.16, 0.2, -0.72, lamp),
        (0.56, 0.74, 0.16, 0.16, 0.2, 0.72, lamp),
        (1.24, 1.34, 0.92, 0.92, 0.8, 0.0, _DARK),
    ]


def car_sprites(pixels_wide: float, pixels_high: float) -> NDArray[np.float64]:
    """Sprites for each lean (far left to far right), then the same with the brake lights on.

    Args:
        pixels_wide: width in pixels of a metre at the car's distance.
        pixels_high: height in pixels of a metre at the car's distance.

    Returns:
        Array (2 * LEANS, rows, columns, 4): red, green, blue in 0..255 and opacity in 0..1, the
        wheels on the last row.
    """
    columns = max(3, round(_WIDTH_M * pixels_wide) | 1)
    rows = max(3, round(_HEIGHT_M * pixels_high))
    sheet = [
        _paint(rows, columns, lean, braking=braking)
        for braking in (False, True)
        for lean in np.linspace(-1.0, 1.0, LEANS)
    ]
    return np.stack(sheet)


def _paint(rows: int, columns: int, lean: float, *, braking: bool) -> NDArray[np.float64]:
    """One sprite, painted in fine pixels and averaged down."""
    fine = (rows * _DETAIL, columns * _DETAIL)
    height = (fine[0] - np.arange(fine[0])[:, None] - 0.5) / fine[0] * _HEIGHT_M
    across = (np.arange(fine[1])[None, :] + 0.5) / fine[1] * _WIDTH_M - _WIDTH_M / 2
    picture = np.zeros((*fine, 4))
    for bottom, top, wide, narrow, shear, centre, colour in _shapes(braking=braking):
        share = np.clip((height - bottom) / (top - bottom), 0.0, 1.0)
        middle = centre + lean * shear * 0.45 + lean * height * 0.12
        inside = (height >= bottom) & (height <= top)
        inside = inside & (np.abs(across - middle) <= wide + (narrow - wide) * share)
        picture[inside] = (*colour, 1.0)
    blocks = picture.reshape(rows, _DETAIL, columns, _DETAIL, 4)
    opacity = blocks[..., 3:].mean(axis=(1, 3))
    colour_sum = (blocks[..., :3] * blocks[..., 3:]).mean(axis=(1, 3))
    return np.concatenate([colour_sum / np.maximum(opacity, 1e-9), opacity], axis=2)
