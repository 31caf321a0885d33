import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.frame_parser import FrameParser, ProtocolViolation


def parse(chunks, limit=1 << 20):
    parser, seen = FrameParser(limit), []
    for chunk in chunks:
        parser.feed(chunk, lambda v: seen.append((0x81, bytes(v))), lambda b, v: seen.append((b, bytes(v))))
    return seen


@pytest.fixture(scope="session")
def mixture(wire):
    """A stream with every kind of frame and every size class, and what it says."""
    frames = [
        (0x81, b""),
        (0x81, b"a"),
        (0x89, b"ping"),
        (0x81, b"b" * 125),
        (0x81, b"c" * 126),
        (0x01, b"part"),
        (0x8A, b""),
        (0x80, b"rest"),
        (0x82, b"\x00\xff"),
        (0x81, b"d" * 300),
        (0x88, b"\x03\xe8bye"),
    ]
    return b"".join(wire.frame(payload, first) for first, payload in frames), frames


def test_a_stream_split_at_any_offset_says_the_same_as_the_whole(mixture):
    stream, frames = mixture

    assert parse([stream]) == frames
    for offset in range(len(stream) + 1):
        assert parse([stream[:offset], stream[offset:]]) == frames


def test_a_stream_that_comes_byte_by_byte_says_the_same_as_the_whole(mixture):
    stream, frames = mixture

    assert parse([stream[i : i + 1] for i in range(len(stream))]) == frames


@given(data=st.data())
def test_a_stream_cut_into_any_pieces_says_the_same_as_the_whole(mixture, data):
    stream, frames = mixture
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))

    assert parse([stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]) == frames


@pytest.mark.parametrize("n", [0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537])
@pytest.mark.parametrize("lead", [1, 2, 3, 9, 10, 11])
def test_a_payload_at_a_length_boundary_arrives_whole_or_after_a_piece_of_its_head(wire, n, lead):
    payload = b"x" * n
    frame = wire.frame(payload)

    assert parse([frame + frame]) == [(0x81, payload)] * 2
    assert parse([frame[:lead], frame[lead:]]) == [(0x81, payload)]


def test_a_whole_text_frame_is_handed_over_as_a_read_only_view_of_the_read_itself(wire):
    data, views = wire.frame(b"hello") + wire.frame(b"world"), []
    FrameParser(100).feed(data, views.append, lambda b, v: None)

    assert [bytes(view) for view in views] == [b"hello", b"world"]
    assert all(view.obj is data and view.readonly for view in views)


def test_a_view_that_is_kept_keeps_its_content_while_more_arrives(wire):
    parser, views = FrameParser(1000), []
    for number in range(20):
        frame = wire.frame(b"%d" % number * 40)
        parser.feed(frame[:7], views.append, lambda b, v: None)
        parser.feed(frame[7:], views.append, lambda b, v: None)

    assert [bytes(view) for view in views] == [b"%d" % number * 40 for number in range(20)]


LEGAL = {0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A}


@pytest.mark.parametrize("first", sorted(set(range(256)) - LEGAL))
def test_every_illegal_first_byte_is_a_protocol_error_whole_or_as_soon_as_the_length_is_known(wire, first):
    for chunks in ([wire.frame(b"x", first)], [wire.frame(b"x" * 100, first)[:2]]):
        with pytest.raises(ProtocolViolation) as violation:
            parse(chunks)
        assert violation.value.close_code == 1002


@pytest.mark.parametrize("first", [0x81, 0x82, 0x89, 0x88])
@pytest.mark.parametrize("n", [1, 200, 70000])
def test_a_masked_frame_is_a_protocol_error(wire, first, n):
    with pytest.raises(ProtocolViolation) as violation:
        parse([wire.frame(b"x" * n, first, mask=b"abcd")])
    assert violation.value.close_code == 1002


@pytest.mark.parametrize("first", [0x88, 0x89, 0x8A])
def test_a_control_frame_of_more_than_125_bytes_is_a_protocol_error(wire, first):
    assert parse([wire.frame(b"\x03\xe8" + b"x" * 123, first)])
    with pytest.raises(ProtocolViolation) as violation:
        parse([wire.frame(b"\x03\xe8" + b"x" * 124, first)])
    assert violation.value.close_code == 1002


def test_a_frame_over_the_limit_is_refused_by_its_head_alone(wire):
    assert parse([wire.frame(b"x" * 1000)], limit=1000)
    with pytest.raises(ProtocolViolation) as violation:
        parse([wire.frame(b"x" * 1001)[:4]], limit=1000)
    assert violation.value.close_code == 1009


def test_a_length_of_64_bits_is_too_big_and_not_negative():
    with pytest.raises(ProtocolViolation) as violation:
        parse([b"\x81\x7f" + b"\xff" * 8])
    assert violation.value.close_code == 1009


def test_frames_before_a_violation_are_still_handed_over(wire):
    seen = []
    with pytest.raises(ProtocolViolation):
        FrameParser(100).feed(
            wire.frame(b"good") + b"\xf1\x00", lambda v: seen.append(bytes(v)), lambda b, v: None
        )
    assert seen == [b"good"]


@pytest.mark.parametrize(
    ("split", "tail"), [*((n, b"") for n in range(30)), *((n, b"-" * 20) for n in range(150))]
)
def test_a_handler_that_raises_loses_its_own_message_and_no_other(wire, split, tail):
    frames = [wire.frame(b"m%d" % n + tail) for n in range(6)]
    stream, seen, parser = b"".join(frames), [], FrameParser(100)

    def handle(view):
        seen.append(bytes(view[:2]))
        assert view[2:] == tail
        if view[1] in b"14":
            raise ZeroDivisionError

    chunks, raised = [stream[:split], stream[split:]], 0
    while chunks or parser.behind:
        try:
            parser.feed(chunks.pop(0) if chunks else b"", handle, lambda b, v: None)
        except ZeroDivisionError:
            raised += 1

    assert seen == [b"m0", b"m1", b"m2", b"m3", b"m4", b"m5"]
    assert raised == 2


@pytest.mark.parametrize("split", [0, 15])
def test_a_parser_that_is_stopped_by_its_handler_hands_over_nothing_more(wire, split):
    parser, seen = FrameParser(100), []
    stream = wire.frame(b"the first of all") + wire.frame(b"two") + wire.frame(b"", 0x89)

    def handle(view):
        seen.append(bytes(view))
        parser.stop()

    for data in (stream[:split], stream[split:], wire.frame(b"three")):
        parser.feed(data, handle, lambda b, v: seen.append(b))

    assert seen == [b"the first of all"]


def test_a_text_frame_takes_the_long_way_while_a_fragmented_message_is_open(wire):
    parser, seen = FrameParser(100), []
    parser.fragmented(True)
    parser.feed(wire.frame(b"x"), lambda v: seen.append("short"), lambda b, v: seen.append("long"))
    parser.fragmented(False)
    parser.feed(wire.frame(b"x"), lambda v: seen.append("short"), lambda b, v: seen.append("long"))

    assert seen == ["long", "short"]
