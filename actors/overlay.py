"""What is drawn over a filmed lap: clock, speed, inputs, action values and the camera picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int, int]
Box = tuple[float, float, float, float]

WIDTH, HEIGHT = 1280, 720
_WHITE: Colour = (255, 255, 255, 255)
_DIM: Colour = (214, 218, 226, 255)
_PANEL: Colour = (12, 14, 20, 200)
_TRACK: Colour = (74, 78, 90, 235)
_GREEN: Colour = (74, 214, 109, 255)
_RED: Colour = (255, 84, 84, 255)
_AMBER: Colour = (255, 186, 58, 255)
_BLUE: Colour = (92, 170, 255, 255)
_MARGIN = 24
_CAMERA_SIDE = 192
_SLIGHT = 0.5
_MOST_ROWS = 16
_MS_PER_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Moment:
    """What the overlay shows of one timestep.

    Attributes:
        time_ms: game time since the start, milliseconds.
        camera: uint8 [height, width], the newest frame as the network sees it.
        action: what is done now.
        q_values: float32 [action].
        speed_mps: metres a second, or None where the game does not tell.
        gear: or None.
        controls: gas, brake, steer of the action, or None where it has none.
        episode_return: sum of the rewards so far.
        verdict: what is said in large letters at the end, else nothing.
    """

    time_ms: float
    camera: npt.NDArray[np.uint8]
    action: int
    q_values: npt.NDArray[np.float32]
    speed_mps: float | None
    gear: int | None
    controls: tuple[float, float, float] | None
    episode_return: float
    verdict: str


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def clock(time_ms: float) -> str:
    """Returns a lap time as people write it, ``1:02.350``."""
    minutes, rest = divmod(round(time_ms), _MS_PER_MINUTE)
    return f"{minutes}:{rest / 1000:06.3f}"


def action_label(controls: Sequence[float]) -> str:
    """Returns a row of the action table in words, such as ``gas + left``."""
    gas, brake, steer = controls
    side = "left" if steer < 0 else "right"
    words = [
        *(["gas"] if gas > 0 else []),
        *(["brake"] if brake > 0 else []),
        *([side if abs(steer) >= _SLIGHT else f"slight {side}"] if steer else []),
    ]
    return " + ".join(words) or "coast"


class Overlay:
    """Draws the overlay; made once for a film.

    Args:
        labels: a word for each action.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)

    def draw(self, picture: npt.NDArray[np.uint8], moment: Moment) -> npt.NDArray[np.uint8]:
        """Returns uint8 [HEIGHT, WIDTH, 3]: the game's picture, fitted in, with the overlay."""
        canvas = _fitted(picture).convert("RGBA")
        layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(layer)
        self._draw_clock(pen, moment)
        self._draw_camera(layer, pen, moment)
        self._draw_values(pen, moment)
        if moment.speed_mps is not None:
            self._draw_speed(pen, moment.speed_mps, moment.gear)
        if moment.controls is not None:
            self._draw_inputs(pen, moment.controls)
        if moment.verdict:
            _centred(pen, (WIDTH / 2, HEIGHT * 0.3), moment.verdict, size=64)
        return np.asarray(Image.alpha_composite(canvas, layer).convert("RGB"))

    def _draw_clock(self, pen: ImageDraw.ImageDraw, moment: Moment) -> None:
        _panel(pen, (_MARGIN, _MARGIN, _MARGIN + 232, _MARGIN + 92))
        pen.text((_MARGIN + 18, _MARGIN + 8), clock(moment.time_ms), _WHITE, font=_font(44))
        text = f"return {moment.episode_return:.1f}"
        pen.text((_MARGIN + 18, _MARGIN + 60), text, _DIM, font=_font(20))

    def _draw_camera(self, layer: Image.Image, pen: ImageDraw.ImageDraw, moment: Moment) -> None:
        right, top = WIDTH - _MARGIN, _MARGIN
        left = right - _CAMERA_SIDE - 16
        _panel(pen, (left, top, right, top + _CAMERA_SIDE + 44))
        camera = Image.fromarray(moment.camera).resize(
            (_CAMERA_SIDE, _CAMERA_SIDE), Image.Resampling.NEAREST
        )
        layer.paste(camera.convert("RGBA"), (int(left + 8), int(top + 8)))
        height, width = moment.camera.shape
        text = f"network input {width} x {height}"
        pen.text((left + 10, top + _CAMERA_SIDE + 14), text, _DIM, font=_font(18))

    def _draw_values(self, pen: ImageDraw.ImageDraw, moment: Moment) -> None:
        """Draws each action's value as a bar from the worst to the best, the chosen one bright."""
        shown = _shown_actions(moment.q_values, moment.action)
        rows = len(shown)
        row_px = min(26.0, (HEIGHT - 2 * _MARGIN - _CAMERA_SIDE - 130) / rows)
        right, top = WIDTH - _MARGIN, _MARGIN + _CAMERA_SIDE + 60
        left = right - 312
        _panel(pen, (left, top, right, top + 44 + rows * row_px))
        pen.text((left + 12, top + 8), "action values", _DIM, font=_font(18))
        worst, best = float(moment.q_values.min()), float(moment.q_values.max())
        span = max(best - worst, 1e-6)
        size = max(8, int(row_px * 0.66))
        for row, index in enumerate(shown):
            value = float(moment.q_values[index])
            y = top + 36 + row * row_px
            chosen = index == moment.action
            share = 0.06 + 0.94 * (value - worst) / span
            start = left + 166
            pen.rectangle(
                (start, y + 4, start + share * 78, y + row_px - 4), _AMBER if chosen else _BLUE
            )
            ink = _AMBER if chosen else _DIM
            pen.text(
                (left + 12, y + row_px / 2), self._labels[index], ink, _font(size), anchor="lm"
            )
            pen.text(
                (right - 10, y + row_px / 2), f"{value:.2f}", ink, font=_font(size), anchor="rm"
            )

    def _draw_speed(self, pen: ImageDraw.ImageDraw, speed_mps: float, gear: int | None) -> None:
        left, bottom = _MARGIN, HEIGHT - _MARGIN
        _panel(pen, (left, bottom - 100, left + 232, bottom))
        pen.text(
            (left + 122, bottom - 22), f"{speed_mps * 3.6:.0f}", _WHITE, _font(60), anchor="rs"
        )
        pen.text((left + 132, bottom - 24), "km/h", _DIM, font=_font(22), anchor="ls")
        if gear is not None:
            pen.text((left + 132, bottom - 54), f"gear {gear}", _AMBER, font=_font(22), anchor="ls")

    def _draw_inputs(self, pen: ImageDraw.ImageDraw, controls: tuple[float, float, float]) -> None:
        """Draws brake and gas as columns and steering as a bar from the middle."""
        gas, brake, steer = controls
        left, bottom = _MARGIN + 248, HEIGHT - _MARGIN
        _panel(pen, (left, bottom - 100, left + 224, bottom))
        middle, half = left + 112, 62
        top = bottom - 60
        pen.rectangle((middle - half, top, middle + half, top + 20), _TRACK)
        if steer:
            pen.rectangle(_ordered(middle, top, middle + steer * half, top + 20), _BLUE)
        pen.rectangle((middle - 1.5, top - 5, middle + 1.5, top + 25), _WHITE)
        pen.text((middle, bottom - 17), "steer", _DIM, font=_font(15), anchor="mm")
        for x, value, colour, name in (
            (left + 26, brake, _RED, "brake"),
            (left + 198, gas, _GREEN, "gas"),
        ):
            pen.rectangle((x - 10, bottom - 88, x + 10, bottom - 30), _TRACK)
            if value:
                pen.rectangle((x - 10, bottom - 30 - value * 58, x + 10, bottom - 30), colour)
            pen.text((x, bottom - 17), name, _DIM, font=_font(15), anchor="mm")


def _shown_actions(q_values: npt.NDArray[np.float32], action: int) -> list[int]:
    """Returns the actions that have room, in their order: the best ones and the chosen one."""
    best_first = np.argsort(-q_values).tolist()
    best_first.remove(action)
    return sorted([action, *best_first[: _MOST_ROWS - 1]])


def _ordered(left: float, top: float, right: float, bottom: float) -> Box:
    return min(left, right), top, max(left, right), bottom


def _fitted(picture: npt.NDArray[np.uint8]) -> Image.Image:
    """Scales the picture into the frame; what it leaves free stays dark.

    Small pictures grow by whole pixels, so that a plug-in's camera picture stays sharp.
    """
    image = Image.fromarray(picture)
    scale = min(WIDTH / image.width, HEIGHT / image.height)
    coarse = scale > 3  # noqa: PLR2004 - blurred beyond that
    method = Image.Resampling.NEAREST if coarse else Image.Resampling.BICUBIC
    size = (round(image.width * scale), round(image.height * scale))
    canvas = Image.new("RGB", (WIDTH, HEIGHT), (18, 20, 26))
    corner = ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2)
    canvas.paste(image.convert("RGB").resize(size, method), corner)
    return canvas


def _panel(pen: ImageDraw.ImageDraw, box: Box) -> None:
    pen.rounded_rectangle(box, radius=10, fill=_PANEL)


def _centred(
    pen: ImageDraw.ImageDraw, centre: tuple[float, float], text: str, *, size: int
) -> None:
    pen.text(
        centre,
        text,
        _WHITE,
        font=_font(size),
        anchor="mm",
        stroke_width=4,
        stroke_fill=(0, 0, 0, 255),
    )
