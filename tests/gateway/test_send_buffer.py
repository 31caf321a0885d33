from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.send_buffer import SendBuffer


def drain(buffer, step=1 << 20):
    out = b""
    while (data := buffer.peek()) is not None:
        taken = bytes(data[:step])
        out += taken
        buffer.advance(len(taken))
    return out


def test_urgent_frames_go_ahead_of_the_others_and_each_class_keeps_its_order():
    buffer = SendBuffer()
    buffer.add(b"audio1 ", urgent=False)
    buffer.add(b"audio2 ", urgent=False)
    buffer.add(b"cancel ", urgent=True)
    buffer.add(b"item ", urgent=True)

    assert drain(buffer) == b"cancel item audio1 audio2 "
    assert buffer.size == 0


def test_a_frame_that_is_partly_written_is_never_overtaken():
    buffer = SendBuffer()
    buffer.add(b"audio", urgent=False)
    buffer.advance(2)
    buffer.add(b"CANCEL", urgent=True)

    assert drain(buffer) == b"dioCANCEL"


def test_a_frame_that_has_been_offered_to_tls_is_never_overtaken_either():
    buffer = SendBuffer()
    buffer.add(b"audio", urgent=False)
    buffer.begin()
    buffer.add(b"CANCEL", urgent=True)

    assert drain(buffer) == b"audioCANCEL"


def test_a_frame_the_socket_has_not_begun_is_overtaken():
    buffer = SendBuffer()
    buffer.add(b"audio", urgent=False)
    assert buffer.peek() == b"audio"
    buffer.add(b"CANCEL", urgent=True)

    assert drain(buffer) == b"CANCELaudio"


def test_of_pongs_the_newest_alone_waits_ahead_of_all_but_what_has_been_begun():
    buffer = SendBuffer()
    buffer.add(b"audio", urgent=False)
    buffer.advance(2)
    buffer.add(b"cancel", urgent=True)
    for pong in (b"pong1", b"pong no 2", b"pong3"):
        buffer.add_pong(pong)
        assert buffer.size == len(b"dio") + len(b"cancel") + len(pong)

    assert drain(buffer, 2) == b"diopong3cancel"
    assert buffer.size == 0


def test_a_pong_that_has_been_begun_is_not_replaced():
    buffer = SendBuffer()
    buffer.add_pong(b"one")
    buffer.advance(1)
    buffer.add_pong(b"two")

    assert drain(buffer) == b"netwo"


def test_to_begin_an_empty_buffer_does_nothing():
    buffer = SendBuffer()
    buffer.begin()

    assert buffer.peek() is None


def test_clear_drops_everything():
    buffer = SendBuffer()
    buffer.add(b"audio", urgent=False)
    buffer.advance(1)
    buffer.add(b"cancel", urgent=True)
    buffer.add_pong(b"pong")
    buffer.clear()

    assert buffer.peek() is None
    assert buffer.size == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 30))), st.integers(1, 7))
def test_whatever_the_socket_takes_frames_leave_whole_and_the_size_is_exact(frames, step):
    buffer, out, expected = SendBuffer(), b"", 0
    for number, (urgent, length, taken) in enumerate(frames):
        frame = bytes([number % 200 + 1]) * length + b"\0"
        buffer.add(frame, urgent=urgent)
        expected += len(frame)
        while taken > 0 and (data := buffer.peek()) is not None:
            part = bytes(data[:taken])
            buffer.advance(len(part))
            out, taken, expected = out + part, taken - len(part), expected - len(part)
        assert buffer.size == expected
    out += drain(buffer, step)

    pieces = [piece for piece in out.split(b"\0") if piece]
    assert sorted(pieces) == sorted(bytes([n % 200 + 1]) * length for n, (_, length, _) in enumerate(frames))
