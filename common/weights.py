"""Network weights on the wire and on disk: a checked header in front of safetensors.

8 bytes   param version, big-endian signed, so that a reader can poll it alone
4 bytes   length of the header
4 bytes   crc32 of all but these four bytes
header    msgpack {contract, created_at}
tensors   safetensors: parameters and BatchNorm buffers; there is no noise to send
"""

import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgpack
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from common.errors import CorruptError, MismatchError
from common.weights_prefix import VERSION

_PREFIX = struct.Struct(f"{VERSION.format}I")
_CHECKSUM = struct.Struct(">I")
_MAX_HEADER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class ParamSnapshot:
    """Weights of one learner step.

    Attributes:
        param_version: learner step at which they were taken.
        contract: contract fingerprint, hex.
        created_at: Unix time in seconds on the learner's clock.
        tensors: state dict of an ``IqnNetwork``.
    """

    param_version: int
    contract: str
    created_at: float
    tensors: Mapping[str, Tensor]


def cpu_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Returns a detached, contiguous copy of the network's state on the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in network.state_dict().items()
    }


def encode_weights(network: nn.Module, *, param_version: int, contract: str) -> bytes:
    """Returns the weights of the network as one checked blob."""
    return encode_tensors(cpu_tensors(network), param_version=param_version, contract=contract)


def encode_tensors(tensors: dict[str, Tensor], *, param_version: int, contract: str) -> bytes:
    """Returns a state dict of contiguous CPU tensors as one checked blob."""
    header: bytes = msgpack.packb({"contract": contract, "created_at": time.time()})
    body = header + save(tensors)
    prefix = _PREFIX.pack(param_version, len(header))
    return prefix + _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(prefix))) + body


def decode_weights(blob: bytes, *, contract: str | None) -> ParamSnapshot:
    """Returns the snapshot in a blob.

    Args:
        blob: what ``encode_weights`` returned.
        contract: the fingerprint that the reader was told; None skips the comparison.

    Raises:
        CorruptError: the blob is cut, altered or no such blob.
        MismatchError: the weights belong to another contract.
    """
    view = memoryview(blob)
    if len(view) < _PREFIX.size + _CHECKSUM.size:
        raise _corrupt(f"it holds {len(view)} bytes, fewer than its header")
    version, header_bytes = _PREFIX.unpack_from(view)
    (checksum,) = _CHECKSUM.unpack_from(view, _PREFIX.size)
    body = view[_PREFIX.size + _CHECKSUM.size :]
    if zlib.crc32(body, zlib.crc32(view[: _PREFIX.size])) != checksum:
        raise _corrupt("its checksum does not match its content")
    if header_bytes > min(len(body), _MAX_HEADER_BYTES):
        raise _corrupt(f"its header claims {header_bytes} bytes")
    try:
        header = msgpack.unpackb(body[:header_bytes], max_map_len=16, max_str_len=4096)
        found, created_at = str(header["contract"]), float(header["created_at"])
        tensors = load(bytes(body[header_bytes:]))
    except (ValueError, TypeError, KeyError, SafetensorError, msgpack.UnpackException) as error:
        raise _corrupt(f"it does not decode ({error})") from error
    if contract is not None and found != contract:
        raise MismatchError(
            f"The weights of learner step {version} belong to contract {found[:12]}.",
            f"This process was started for contract {contract[:12]}: code, game, actions or "
            "normalisation differ.",
            "Start every machine of the run with the same version and let the cluster send the "
            "configuration.",
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise _corrupt("it holds values that are not finite")
    return ParamSnapshot(version, found, created_at, tensors)


def _corrupt(reason: str) -> CorruptError:
    return CorruptError(
        "A weights blob was refused.",
        f"{reason[0].upper()}{reason[1:]}.",
        "Nothing to do if it happens once: the next broadcast replaces it. If it repeats, check "
        "that nothing but the learner writes the run's weights key.",
    )
