import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.mask import client_frame


def header_of(n):
    if n < 126:
        return struct.pack("!BB", 0x81, 0x80 | n)
    if n < 65536:
        return struct.pack("!BBH", 0x81, 0x80 | 126, n)
    return struct.pack("!BBQ", 0x81, 0x80 | 127, n)


@pytest.mark.parametrize(
    "n", [0, 1, 2, 3, 4, 5, 125, 126, 127, 511, 512, 513, 514, 515, 2607, 65535, 65536, 65537]
)
def test_a_frame_is_header_key_and_masked_payload_at_every_size(wire, n):
    payload, key = os.urandom(n), b"\x01\xfe\x80\x7f"

    assert client_frame(0x81, payload, key) == header_of(n) + key + wire.xor(payload, key)


@given(st.binary(max_size=1200), st.binary(min_size=4, max_size=4), st.sampled_from([0x81, 0x88, 0x89, 0x8A]))
def test_masking_twice_with_the_same_key_gives_the_payload_back(wire, payload, key, first):
    frame = client_frame(first, payload, key)

    assert frame[0] == first
    assert wire.xor(frame[len(frame) - len(payload) :], key) == payload
