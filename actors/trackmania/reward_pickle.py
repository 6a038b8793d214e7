"""Reads the trajectory in a ``reward.pkl`` of tmrl without unpickling anything else.

A pickle is a program. This one is read twice: first its opcodes are looked through, where only those that
a plain array needs are admitted and every length must be true; then it runs with classes of our own in
the place of numpy's, which do no more than remember what they were given.
"""

import io
import pickle  # noqa: TID251 - the one unpickler: it admits plain float arrays and nothing else
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.trackmania.reward_line import MAX_POINTS
from common.errors import ConfigError, CorruptError

_AXES = 3
_MAX_BYTES = MAX_POINTS * _AXES * 8 + 4096
_MAX_OPCODES = 200
_OPCODES = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "REDUCE", "BUILD", "MEMOIZE", "BINPUT", "BINGET"),
        *("GLOBAL", "STACK_GLOBAL", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "SHORT_BINUNICODE", "BINUNICODE"),
        *("SHORT_BINBYTES", "BINBYTES", "BYTEARRAY8"),
    }
)
_FLOATS = {"f4": np.float32, "f8": np.float64}
_ORDERS = ("<", ">")


class _Array:
    """Remembers the state of a numpy array: version, shape, type, whether Fortran order, bytes."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - whatever a stranger's file says
        self.state = state


class _Dtype:
    """Remembers the name and byte order of a numpy type."""

    def __init__(self, name: str = "", *_: object) -> None:
        self.name = name
        self.order: Any = None

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - same
        self.order = state[1] if isinstance(state, tuple) and len(state) > 1 else None


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _from_buffer(
    buffer: object, dtype: object, shape: object, order: object = "C", *_: object
) -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", buffer)
    return array


def _encode(text: str, encoding: str) -> bytes:
    """Returns bytes as Python 3 writes them into pickles of protocol 2."""
    if encoding != "latin1":
        msg = f"it encodes text as {encoding!r}"
        raise pickle.UnpicklingError(msg)
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Finds nothing but our own stand-ins for what a numpy array is made with."""

    def find_class(self, module_name: str, global_name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        """Returns the stand-in, or refuses the name."""
        found = _ADMITTED.get((module_name, global_name))
        if found is None:
            msg = f"it asks for {module_name}.{global_name}"
            raise pickle.UnpicklingError(msg)
        return found


def read_reward_pickle(path: Path) -> NDArray[np.float64]:
    """Returns the positions in a ``reward.pkl``: float64 [point, 3], x, y (up), z in metres.

    Args:
        path: what ``python -m tmrl --record-reward`` wrote.

    Raises:
        ConfigError: there is no such file.
        CorruptError: it is anything but one array of floats of the shape (N, 3).
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"There is no reward file at {str(path)!r}.",
            str(error),
            "name the file that tmrl wrote, such as ~/TmrlData/reward/reward.pkl",
        ) from error
    try:
        _check_opcodes(content)
        return _positions(_ArrayUnpickler(io.BytesIO(content)).load())
    except (
        *(pickle.UnpicklingError, ValueError, TypeError, AttributeError, IndexError, KeyError),
        *(EOFError, OverflowError, MemoryError, UnicodeError),
    ) as error:
        raise CorruptError(
            f"The reward file {path} was refused.",
            f"it is not one array of floats of the shape (N, 3): {error}",
            "record the line instead: apexmania game record-line --name MAP --out lines/MAP.npz",
        ) from error


def _check_opcodes(content: bytes) -> None:
    """Refuses what is too large, cut short, or does more than build one array."""
    if len(content) > _MAX_BYTES:
        msg = f"it is larger than {_MAX_BYTES:,} bytes"
        raise pickle.UnpicklingError(msg)
    for count, (opcode, _, _) in enumerate(pickletools.genops(content)):
        if opcode.name not in _OPCODES:
            msg = f"it holds a {opcode.name}"
            raise pickle.UnpicklingError(msg)
        if count >= _MAX_OPCODES:
            msg = f"it takes more than {_MAX_OPCODES} steps"
            raise pickle.UnpicklingError(msg)


def _positions(found: object) -> NDArray[np.float64]:
    """Returns what the stand-ins remember as a real array."""
    if not isinstance(found, _Array) or not isinstance(found.state, tuple):
        msg = "it builds something else"
        raise pickle.UnpicklingError(msg)
    _, shape, dtype, fortran, content = found.state
    if not isinstance(dtype, _Dtype) or dtype.name not in _FLOATS or dtype.order not in _ORDERS:
        msg = "its values are no floats"
        raise pickle.UnpicklingError(msg)
    if not isinstance(content, bytes | bytearray) or not isinstance(fortran, bool):
        msg = "its values are no bytes"
        raise pickle.UnpicklingError(msg)
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1] == _AXES):  # noqa: PLR2004
        msg = f"its shape is {shape!r}"
        raise pickle.UnpicklingError(msg)
    flat = np.frombuffer(content, np.dtype(_FLOATS[dtype.name]).newbyteorder(dtype.order))
    return flat.reshape(shape, order="F" if fortran else "C").astype(np.float64)
