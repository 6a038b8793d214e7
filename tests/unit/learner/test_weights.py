"""Weights on the wire: they come back bit for bit, and nothing altered does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import CorruptError, MismatchError
from common.weights import cpu_tensors, decode_weights, encode_weights
from tests.support.learner_inputs import make_network, small_config

NETWORK = make_network(small_config())
BLOB = encode_weights(NETWORK, param_version=1500, contract="c0ffee")


def test_weights_come_back_bit_for_bit() -> None:
    snapshot = decode_weights(BLOB, contract="c0ffee")
    assert (snapshot.param_version, snapshot.contract) == (1500, "c0ffee")
    own = cpu_tensors(NETWORK)
    assert snapshot.tensors.keys() == own.keys()
    assert all(torch.equal(snapshot.tensors[name], own[name]) for name in own)
    assert any("running_mean" in name for name in own)
    assert not any("noise" in name for name in own)


def test_the_version_can_be_read_alone() -> None:
    assert int.from_bytes(BLOB[:8], "big") == 1500


@settings(max_examples=200)
@given(at=st.integers(0, len(BLOB) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(at: int, bit: int) -> None:
    altered = bytearray(BLOB)
    altered[at] ^= 1 << bit
    with pytest.raises(CorruptError):
        decode_weights(bytes(altered), contract=None)


@pytest.mark.parametrize("length", [0, 8, 15, 16, 40, len(BLOB) - 1])
def test_a_cut_blob_is_refused(length: int) -> None:
    with pytest.raises(CorruptError):
        decode_weights(BLOB[:length], contract=None)


def test_weights_of_another_contract_are_refused() -> None:
    with pytest.raises(MismatchError, match="c0ffee"):
        decode_weights(BLOB, contract="decade")


def test_values_that_are_not_finite_are_refused() -> None:
    network = make_network(small_config())
    with torch.no_grad():
        network.tau_embedding.bias[0] = float("inf")
    blob = encode_weights(network, param_version=1, contract="c")
    with pytest.raises(CorruptError, match="not finite"):
        decode_weights(blob, contract="c")
