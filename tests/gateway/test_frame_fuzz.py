"""Random streams, legal and broken, in random pieces: read as `websockets`, which is written independently, reads them."""

import os
import random
import socket
import struct

import pytest
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from trunkline.gateway.errors import LineClosed
from trunkline.gateway.frame_parser import ProtocolViolation
from trunkline.gateway.frame_socket import FrameSocket
from trunkline.gateway.line_limits import LineLimits
from trunkline.gateway.sent_secrets import SentSecrets

LIMIT_S = 30.0
MAX_FRAME_BYTES = 66_000
SIZES = (0, 1, 2, 124, 125, 126, 127, 300, 5_000, 65_535, 65_536, 70_000)
DATA, CONTROL = (0x81, 0x82), (0x89, 0x8A)


def frames_of(r, wire):
    """Make a legal conversation: messages, whole and in fragments with control frames between them, and maybe a CLOSE."""

    def payload():
        return r.randbytes(r.choice(SIZES) if r.random() < 0.2 else r.randrange(200))

    def control():
        return wire.frame(r.randbytes(r.randrange(126)), r.choice(CONTROL))

    frames = []
    for _ in range(r.randrange(1, 20)):
        if r.random() < 0.6:
            frames.append(wire.frame(payload(), r.choice(DATA)))
        else:
            n = r.randrange(2, 6)
            for i in range(n):
                first = (r.choice((1, 2)) if i == 0 else 0) | (0x80 if i == n - 1 else 0)
                frames.append(wire.frame(payload(), first))
                frames += [control() for _ in range(r.randrange(2))]
        frames += [control() for _ in range(r.randrange(2))]
    if r.random() < 0.5:
        code = struct.pack("!H", r.choice((1000, 1001, 1011, 3000, 4000)))
        frames.append(wire.frame(r.choice((b"", code, code + b"bye")), wire.CLOSE))
    return frames


def broken(r, frames, wire):
    """Spoil one or two frames."""
    for _ in range(r.randrange(1, 3)):
        at = r.randrange(len(frames))
        match r.randrange(4):
            case 0 | 1 as byte:
                frame = bytearray(frames[at])
                frame[byte] = r.randrange(256)
                frames[at] = bytes(frame)
            case 2:
                frames.insert(at, wire.frame(r.randbytes(r.randrange(300)), r.choice(DATA), mask=b"abcd"))
            case _:
                first = r.choice((0x00, 0x01, 0x80, 0x08, 0x09, 0x88))
                frames.insert(at, wire.frame(r.randbytes(r.randrange(200)), first))
    return frames


def whole_frames(data, **options):
    """Read frames as `websockets` does, until the end, an error, or half a frame."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    while reader.buffer:
        step = Frame.parse(reader.read_exact, **options)
        try:
            while True:
                next(step)
        except StopIteration as done:
            yield done.value
        except EOFError:
            return


def expected(stream):
    """Return the messages, the payloads of the pings, and how it ends: "violation", or the close code."""
    messages, pings, parts = [], [], None
    try:
        for frame in whole_frames(stream, mask=False, max_size=MAX_FRAME_BYTES):
            data = bytes(frame.data)
            if frame.opcode is Opcode.PING:
                pings.append(data)
            elif frame.opcode is Opcode.CLOSE:
                # A reason that is no UTF-8 is shown all the same.
                return (messages, pings, Close.parse(data[:2]).code)
            elif frame.opcode is not Opcode.PONG:
                if (frame.opcode is Opcode.CONT) != (parts is not None):
                    raise ProtocolError("out of order")
                parts = [*(parts or []), data]
                if frame.fin:
                    messages.append(b"".join(parts))
                    parts = None
    except (ProtocolError, PayloadTooBig):
        return messages, pings, "violation"
    return messages, pings, 1006


def seen(r, stream):
    """Return the same of a `FrameSocket` that is given the stream in pieces; the pings as they were answered."""
    near, far = socket.socketpair()
    line = FrameSocket(LineLimits(max_frame_bytes=MAX_FRAME_BYTES), SentSecrets("ws://h", {}))
    line.adopt(near)
    far.setblocking(False)
    messages, answers, at = [], bytearray(), 0
    with far:
        try:
            while True:
                piece = r.choice((1, r.randrange(1, 50), r.randrange(1, 5_000), 100_000))
                at += far.send(stream[at : at + piece]) if at < len(stream) else 0
                if at == len(stream):
                    far.shutdown(socket.SHUT_WR)
                    at += 1
                line.pump(lambda view: messages.append(bytes(view)))
        except ProtocolViolation:
            end = "violation"
        except LineClosed as closed:
            end = closed.close_code
        line.release()
        far.settimeout(LIMIT_S)
        try:
            while chunk := far.recv(1 << 20):
                answers += chunk
        except ConnectionResetError:
            pass  # closed over what it had not read
    pongs = [
        bytes(frame.data) for frame in whole_frames(bytes(answers), mask=True) if frame.opcode is Opcode.PONG
    ]
    return messages, pongs, end


@pytest.mark.parametrize("is_broken", [False, True])
@pytest.mark.parametrize("seed", range(25 * int(os.environ.get("TRUNKLINE_FUZZ", "1"))))
def test_any_stream_in_any_pieces_is_read_as_another_reader_reads_it(wire, seed, is_broken):
    r = random.Random(f"{seed}/{is_broken}")
    frames = frames_of(r, wire)
    # no stream ends in a broken frame: we may refuse that by its head, where another one waits for the rest
    stream = b"".join([*broken(r, frames, wire), b"\xff" * 2 * MAX_FRAME_BYTES] if is_broken else frames)
    assert seen(r, stream) == expected(stream)
