"""Reads ``.npz`` files that strangers may have made: plain arrays only, of a bounded size."""

import io
import zipfile
import zlib
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER_VERSION = (1, 0)


def read_arrays(path: Path, *, keys: AbstractSet[str], max_bytes: int) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an ``.npz``, whose names, sizes and headers are checked before it is read.

    A header may promise more than the file holds, and numpy would allocate it all before it notices.

    Args:
        path: the file.
        keys: the names that it must have, and no others.
        max_bytes: the most that one array may take, unpacked.

    Raises:
        ValueError: it is no such file; the text says why.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            if set(found) != keys:
                held = ", ".join(sorted(found)) or "nothing"
                msg = f"it holds {held} and not {', '.join(sorted(keys))}"
                raise ValueError(msg)
            return {
                name: _read_array(name, _read_member(archive, member, max_bytes=max_bytes))
                for name, member in found.items()
            }
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        msg = f"it cannot be read as an .npz file ({error})"
        raise ValueError(msg) from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, max_bytes: int) -> bytes:
    if member.file_size > max_bytes:
        msg = f"its {member.filename} takes {member.file_size:,} bytes; the limit is {max_bytes:,}"
        raise ValueError(msg)
    return archive.read(member)


def _read_array(name: str, content: bytes) -> NDArray[Any]:
    """Returns an array of plain values whose header agrees with its size."""
    stream = io.BytesIO(content)
    try:
        _check_header(stream, n_bytes=len(content))
        stream.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, TypeError, SyntaxError) as error:
        msg = f"its {name} is no plain array ({error})"
        raise ValueError(msg) from error
    return array


def _check_header(stream: io.BytesIO, *, n_bytes: int) -> None:
    if np.lib.format.read_magic(stream) != _HEADER_VERSION:
        msg = "its version is unknown"
        raise ValueError(msg)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    left = n_bytes - stream.tell()
    if dtype.hasobject or size != left:
        msg = f"shape {shape} of {dtype} is not what its {left:,} bytes hold"
        raise ValueError(msg)
