"""Trajectories of tmrl are read; pickles that are anything else run nothing."""

import os
import pickle  # noqa: TID251 - hostile ones are made here
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.trackmania.reward_pickle import read_reward_pickle
from common.errors import ConfigError, CorruptError

POSITIONS = np.cumsum(np.full((50, 3), 0.05), axis=0)


class Call:
    """Pickles to a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def reward_file(folder: Path, content: bytes) -> Path:
    file = folder / "reward.pkl"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_floats_are_read(tmp_path: Path, protocol: int, kind: str, order: Any) -> None:
    array = np.array(POSITIONS, dtype=kind, order=order)
    found = read_reward_pickle(reward_file(tmp_path, pickle.dumps(array, protocol)))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.float64


@pytest.mark.parametrize(
    "value",
    [
        POSITIONS[:, :2],
        POSITIONS[0],
        POSITIONS.astype(np.int64),
        POSITIONS.astype(np.complex128),
        np.array([[{}, {}, {}]], dtype=object),
        [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]],
        {"points": POSITIONS},
        (POSITIONS, POSITIONS),
        None,
        np.float64(3.0),
        np.ma.array(POSITIONS),
        np.zeros(2, dtype=[("x", float)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(CorruptError, match="one array of floats"):
        read_reward_pickle(reward_file(tmp_path, pickle.dumps(value)))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("function", [os.system, eval, subprocess.check_output, print])
def test_no_function_is_called(tmp_path: Path, protocol: int, function: Any) -> None:
    trap = tmp_path / "trap"
    inner = Call(function, f"touch {trap}")
    for value in (inner, Call(np.array, inner), [POSITIONS, inner], Call(getattr, inner, "x")):
        with pytest.raises(CorruptError):
            read_reward_pickle(reward_file(tmp_path, pickle.dumps(value, protocol)))
    assert not trap.exists()


def test_a_refused_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match=r"posix\.system|nt\.system"):
        read_reward_pickle(reward_file(tmp_path, pickle.dumps(Call(os.system, "true"))))


def test_an_array_with_a_call_inside_its_state_calls_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    whole = pickle.dumps(POSITIONS, 4)
    call = pickle.dumps(Call(os.system, f"touch {trap}"), 4)[11:-1]
    with pytest.raises(CorruptError):
        read_reward_pickle(reward_file(tmp_path, whole[:-2] + call + b"b."))
    assert not trap.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04.",
        b"\x80\x04N.",
        b"\x80\x02r\xff\xff\xff\x7fN.",
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x.",
        b"\x80\x04B\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02" + b"N0" * 1000 + b".",
        b"cnumpy\nndarray\n.",
        b"\x80\x02cnumpy\nndarray\nNb.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01K\x03\x86NN\x89tb.",
        b"not a pickle at all",
    ],
)
def test_hostile_bytes(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorruptError):
        read_reward_pickle(reward_file(tmp_path, content))


def test_shapes_that_do_not_fit_their_bytes(tmp_path: Path) -> None:
    content = pickle.dumps(POSITIONS, 4)
    assert b"K2K\x03" in content
    for shape in (b"K3K\x03", b"K2K\x02", b"K\x00K\x03"):
        with pytest.raises(CorruptError):
            read_reward_pickle(reward_file(tmp_path, content.replace(b"K2K\x03", shape)))


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "reward.pkl"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(CorruptError, match="larger than"):
        read_reward_pickle(file)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reward\.pkl"):
        read_reward_pickle(tmp_path / "none.pkl")


@given(at=st.integers(0, 5_000), byte=st.integers(0, 255), cut=st.booleans())
@example(at=0, byte=0, cut=True)
def test_damaged_pickles_are_refused_or_still_floats(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, *, cut: bool
) -> None:
    content = bytearray(pickle.dumps(POSITIONS, 4))
    at %= len(content)
    if cut:
        del content[at:]
    else:
        content[at] = byte
    file = reward_file(tmp_path_factory.mktemp("hostile"), bytes(content))
    try:
        found = read_reward_pickle(file)
    except CorruptError:
        return
    assert found.shape[1] == 3
    assert found.dtype == np.float64
