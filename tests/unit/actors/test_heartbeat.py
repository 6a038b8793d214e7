"""The small recent frame in a heartbeat."""

import numpy as np

from actors.heartbeat import FRAME_SIDE, thumbnail


def test_a_frame_of_the_right_size_is_sent_as_it_is() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    assert thumbnail(frame) == frame.tobytes()


def test_a_small_frame_is_enlarged_without_blur() -> None:
    shown = np.frombuffer(thumbnail(np.array([[1, 2], [3, 4]], np.uint8)), np.uint8)
    shown = shown.reshape(FRAME_SIDE, FRAME_SIDE)
    assert (shown[:32, :32] == 1).all()
    assert (shown[32:, 32:] == 4).all()


def test_a_large_frame_is_reduced() -> None:
    assert len(thumbnail(np.zeros((128, 96), np.uint8))) == FRAME_SIDE * FRAME_SIDE
