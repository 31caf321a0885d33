"""Frames as the proxy reads and writes them."""

import asyncio

import pytest

from trunkline.gateway.faults.proxy_frames import (
    FrameTooLong,
    close_frame,
    endless_head,
    fragments,
    masked_server_frame,
    read_frame,
    server_frame,
)


def read(data):
    """Read the frames in it."""

    async def run():
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        frames = []
        while not reader.at_eof():
            frames.append(await read_frame(reader))
        return frames

    return asyncio.run(run())


@pytest.mark.parametrize("n", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("write", [server_frame, masked_server_frame])
def test_a_frame_is_read_as_it_was_written_masked_or_not(wire, write, n):
    payload = bytes(range(256)) * (n // 256) + bytes(n % 256)
    data = write(0x81, payload)
    (frame,) = read(data)
    assert (frame.first, frame.payload, frame.raw) == (0x81, payload, data)
    assert (frame.is_data, frame.is_message, frame.opcode) == (True, True, 1)
    if write is server_frame:
        assert data == wire.frame(payload)


def test_what_is_no_whole_text_message_is_none(wire):
    frames = read(
        wire.frame(b"a", 0x01) + wire.frame(b"b", 0x80) + wire.frame(b"", 0x89) + close_frame(1011, "no")
    )
    assert [(frame.is_data, frame.is_message) for frame in frames] == [(True, False)] * 2 + [
        (False, False)
    ] * 2
    assert frames[-1].payload == b"\x03\xf3no"


@pytest.mark.parametrize("n", [2, 3, 100])
def test_fragments_make_the_message_and_the_last_says_so(n):
    frames = read(fragments(b"x" * 100, n))
    assert [frame.first for frame in frames] == [0x01, *[0x00] * (n - 2), 0x80]
    assert b"".join(frame.payload for frame in frames) == b"x" * 100


def test_a_frame_that_does_not_fit_into_memory_is_refused_by_its_head():
    for head in (endless_head(), b"\x81\x7f" + ((64 << 20) + 1).to_bytes(8, "big")):
        with pytest.raises(FrameTooLong):
            read(head)


@pytest.mark.parametrize("n", [2, 3, 9, 11, 13, 15])
def test_of_a_frame_that_ends_in_the_middle_all_that_came_is_told(n):
    data = masked_server_frame(0x81, b"x" * 70_000)[:n]
    with pytest.raises(asyncio.IncompleteReadError) as cut:
        read(data)
    assert cut.value.partial == data
