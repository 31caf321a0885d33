import gc
import select
import struct
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.gateway.errors import LineClosed

LIMIT_S = 30.0


def test_messages_that_arrive_in_one_read_are_handed_over_in_order(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(*(wire.frame(f"m{n}") for n in range(50)))

    assert pump_until(transport, 50) == [b"m%d" % n for n in range(50)]


def test_a_message_is_a_read_only_view(open_line, pump_until, wire):
    transport, peer = open_line()
    views = []
    peer.send(wire.frame("whole"), wire.frame("frag", 0x01), wire.frame("ment", wire.CONT), wire.close(1000))
    pump_until(transport, None, views.append)

    assert [bytes(view) for view in views] == [b"whole", b"fragment"]
    assert all(isinstance(view, memoryview) and view.readonly for view in views)


def test_pump_returns_at_once_when_nothing_has_arrived(open_line):
    transport, _ = open_line()

    assert transport.pump(lambda view: pytest.fail("there was no message")) is None


def test_bytes_that_come_one_by_one_make_the_same_messages(open_line, pump_until, wire):
    transport, peer = open_line()
    seen = []
    stream = (
        wire.frame("a" * 130)
        + wire.frame(b"", wire.PING)
        + wire.frame("b", 0x01)
        + wire.frame("c", wire.CONT)
    )
    for i in range(len(stream)):
        peer.send(stream[i : i + 1])
        transport.pump(lambda view: seen.append(bytes(view)))
    seen += pump_until(transport, 2 - len(seen))

    assert seen == [b"a" * 130, b"bc"]


@pytest.mark.parametrize("n", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_a_payload_of_any_size_class_arrives_whole(open_line, pump_until, wire, n):
    transport, peer = open_line()
    peer.send(wire.frame(b"x" * n), wire.frame(b"after"))

    assert pump_until(transport, 2) == [b"x" * n, b"after"]


def test_a_ping_is_answered_with_its_own_payload(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame(b"are you there", wire.PING), wire.frame("m"))

    assert pump_until(transport, 1) == [b"m"]
    assert peer.read_frame() == (wire.PONG, b"are you there")


def test_an_unasked_pong_is_ignored(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame(b"x", wire.PONG), wire.frame("m"))

    assert pump_until(transport, 1) == [b"m"]


def test_fragments_interleaved_with_pings_make_one_message(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(
        wire.frame("one ", 0x01),
        wire.frame(b"1", wire.PING),
        wire.frame("two ", 0x00),
        wire.frame(b"2", wire.PING),
        wire.frame("three", wire.CONT),
        wire.frame("next"),
    )

    assert pump_until(transport, 2) == [b"one two three", b"next"]
    assert peer.read_frame() == (wire.PONG, b"1")
    assert peer.read_frame() == (wire.PONG, b"2")


def test_empty_fragments_are_fragments(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame("", 0x01), wire.frame("", 0x00), wire.frame("x", 0x00), wire.frame("", wire.CONT))
    peer.send(wire.frame("", 0x01), wire.frame("", wire.CONT))

    assert pump_until(transport, 2) == [b"x", b""]


def test_a_binary_message_is_handed_over_as_well(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame(b"\x00\xff", wire.BINARY))

    assert pump_until(transport, 1) == [b"\x00\xff"]


def test_thousands_of_fragments_make_one_message(open_line, pump_until, wire):
    transport, peer = open_line()
    seen, part = [], b"x" * 1000
    peer.send(wire.frame(part, 0x01))
    for _ in range(80):  # a hundred at a time: both ends are in this thread
        peer.send(wire.frame(part, 0x00) * 100)
        for _ in range(3):
            transport.pump(lambda view: seen.append(len(view)))
    peer.send(wire.frame(part, wire.CONT))
    seen += [len(message) for message in pump_until(transport, 1 - len(seen))]

    assert seen == [8002 * 1000]


SENT_ON = [
    (1000, "bye"),
    (1001, "Your session hit the maximum duration of 60 minutes."),
    (1011, ""),
    (3000, "invalid_request_error.invalid_api_key"),
    (4000, "invalid_request_error.invalid_model"),
    (4999, "é"),
]


@pytest.mark.parametrize(("code", "reason"), SENT_ON)
def test_a_close_frame_ends_the_line_with_its_code_and_reason_after_the_messages_before_it(
    open_line, pump_until, wire, code, reason
):
    transport, peer = open_line()
    peer.send(wire.frame("last words"), wire.close(code, reason), wire.frame("too late"))
    messages, closed = pump_until(transport)

    assert messages == [b"last words"]
    assert (closed.close_code, closed.reason) == (code, reason)
    assert peer.read_frame()[0] == wire.CLOSE


def test_a_close_reason_that_echoes_what_we_sent_shows_no_secret(open_line, pump_until, wire):
    transport, peer = open_line(headers={"api-key": "0123456789abcdef"})
    peer.send(wire.close(3000, "no such key: 0123456789abcdef"))
    _, closed = pump_until(transport)

    assert closed.reason == "no such key: [hidden]"


def test_a_close_frame_without_a_code_is_1005(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame(b"", wire.CLOSE))

    assert pump_until(transport)[1].close_code == 1005


def test_a_close_reason_that_is_no_utf8_is_shown_as_far_as_it_goes(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame(b"\x03\xe9ab\xff", wire.CLOSE))

    assert pump_until(transport)[1].reason == "ab�"


def test_the_end_of_tcp_is_1006(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame("last"))
    peer.close()
    messages, closed = pump_until(transport)

    assert messages == [b"last"]
    assert closed.close_code == 1006
    assert closed.recoverable


def test_a_reset_is_1006(open_line, pump_until):
    transport, peer = open_line()
    peer.reset()

    assert pump_until(transport)[1].close_code == 1006


VIOLATIONS = {
    "a masked frame": (lambda wire: wire.frame(b"x", mask=b"abcd"), 1002),
    "rsv1": (lambda wire: wire.frame(b"x", 0xC1), 1002),
    "rsv2": (lambda wire: wire.frame(b"x", 0xA1), 1002),
    "rsv3": (lambda wire: wire.frame(b"x", 0x91), 1002),
    "reserved data opcode": (lambda wire: wire.frame(b"x", 0x83), 1002),
    "reserved control opcode": (lambda wire: wire.frame(b"x", 0x8B), 1002),
    "fragmented ping": (lambda wire: wire.frame(b"x", 0x09), 1002),
    "fragmented close": (lambda wire: wire.frame(b"\x03\xe8", 0x08), 1002),
    "long ping": (lambda wire: wire.frame(b"x" * 126, wire.PING), 1002),
    "continuation of nothing": (lambda wire: wire.frame(b"x", wire.CONT), 1002),
    "open continuation of nothing": (lambda wire: wire.frame(b"x", 0x00), 1002),
    "text inside a message": (lambda wire: wire.frame(b"x", 0x01) + wire.frame(b"y"), 1002),
    "binary inside a message": (lambda wire: wire.frame(b"x", 0x01) + wire.frame(b"y", wire.BINARY), 1002),
    "one-byte close": (lambda wire: wire.frame(b"x", wire.CLOSE), 1002),
    "close code 999": (lambda wire: wire.close(999), 1002),
    "close code 1004": (lambda wire: wire.close(1004), 1002),
    "close code 1005": (lambda wire: wire.close(1005), 1002),
    "close code 1006": (lambda wire: wire.close(1006), 1002),
    "close code 1015": (lambda wire: wire.close(1015), 1002),
    "close code 2999": (lambda wire: wire.close(2999), 1002),
    "close code 5000": (lambda wire: wire.close(5000), 1002),
    "a frame over the limit": (lambda wire: wire.frame(b"x" * 5001), 1009),
    "a fragment over the limit": (lambda wire: wire.frame(b"x" * 5001, 0x01), 1009),
    "a message over the limit": (
        lambda wire: wire.frame(b"x" * 4000, 0x01) + wire.frame(b"x" * 4000, 0x00) * 2,
        1009,
    ),
}


@pytest.mark.parametrize(("frames", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_server_that_breaks_the_protocol_is_told_so_and_the_line_ends(
    open_line, pump_until, wire, frames, code
):
    transport, peer = open_line(max_frame_bytes=5000, max_message_bytes=10_000)
    peer.send(wire.frame("good"), frames(wire), wire.frame("bad"))
    messages, closed = pump_until(transport)

    assert messages == [b"good"]
    assert closed.close_code == code
    first, payload = peer.read_frame()
    assert (first, struct.unpack("!H", payload[:2])[0]) == (wire.CLOSE, code)


def test_too_many_fragments_end_the_line(open_line, wire):
    transport, peer = open_line()
    peer.send(wire.frame("", 0x01))

    def flood():
        for _ in range(100):  # a thousand at a time: both ends are in this thread
            peer.send(wire.frame("", 0x00) * 1000)
            transport.pump(lambda view: None)

    with pytest.raises(LineClosed) as closed:
        flood()
    assert closed.value.close_code == 1009


def test_fragments_and_bytes_are_counted_for_each_message_by_itself(open_line, wire):
    transport, peer = open_line(max_message_bytes=5000)
    message = wire.frame("x" * 10, 0x01) + wire.frame("x" * 10, 0x00) * 200 + wire.frame("", wire.CONT)
    seen = []
    for _ in range(100):
        peer.send(message)
        transport.pump(lambda view: seen.append(len(view)))
    while len(seen) < 100:
        assert select.select([transport], [], [], LIMIT_S)[0]
        transport.pump(lambda view: seen.append(len(view)))
    assert seen == [2010] * 100


def test_a_line_that_has_ended_says_so_at_every_later_call(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.close(3000, "invalid_request_error.invalid_api_key"))
    pump_until(transport)

    for call in (
        lambda: transport.pump(lambda view: None),
        lambda: transport.send(b"x"),
        lambda: transport.send_audio(b"x"),
        transport.flush,
        lambda: transport.service(0.0),
    ):
        with pytest.raises(LineClosed) as closed:
            call()
        assert closed.value.close_code == 3000


def test_a_handler_that_raises_loses_no_message_but_its_own(open_line, pump_until, wire):
    transport, peer = open_line()
    seen = []

    def handle(view):
        seen.append(bytes(view))
        if view == b"m1":
            raise OSError("the handler's own")

    peer.send(*(wire.frame(f"m{n}") for n in range(4)))
    with pytest.raises(OSError, match="the handler's own"):
        pump_until(transport, 4, handle)
    pump_until(transport, 2, handle)

    assert seen == [b"m0", b"m1", b"m2", b"m3"]


def test_a_handler_may_send(open_line, pump_until, wire):
    transport, peer = open_line()
    peer.send(wire.frame("m0"), wire.frame("m1"), wire.close(1000))
    pump_until(transport, None, lambda view: transport.send(bytes(view) + b" received"))

    assert peer.read_frame() == (wire.TEXT, b"m0 received")
    assert peer.read_frame() == (wire.TEXT, b"m1 received")


def test_a_handler_that_closes_sees_no_further_message(open_line, pump_until, wire):
    transport, peer = open_line()
    seen = []

    def handle(view):
        seen.append(bytes(view))
        transport.send(b"goodbye")
        transport.close(4321, "enough")

    peer.send(wire.frame("m0"), wire.frame("m1"), wire.frame(b"", wire.PING))
    pump_until(transport, 1, handle)

    assert seen == [b"m0"]
    assert transport.fileno() == -1
    assert peer.read_frame() == (wire.TEXT, b"goodbye")
    assert peer.read_frame() == (wire.CLOSE, struct.pack("!H", 4321) + b"enough")
    with pytest.raises(LineClosed):
        transport.pump(handle)


def test_a_handler_that_closes_waits_for_no_answer_which_it_could_not_read(open_line, wire):
    transport, peer = open_line()
    peer.send(wire.frame("m0"))
    assert select.select([transport], [], [], LIMIT_S)[0]
    owner = threading.Thread(target=transport.pump, args=(lambda view: transport.close(timeout_s=60.0),))
    owner.start()
    owner.join(LIMIT_S)

    try:
        assert not owner.is_alive()
    finally:
        transport.abort()
        owner.join(LIMIT_S)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_messages_in_any_fragments_arrive_whole_and_in_order(open_line, pump_until, wire, data):
    messages = data.draw(
        st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=5), min_size=1, max_size=8)
    )
    frames = []
    for parts in messages:
        for i, part in enumerate(parts):
            frames.append(wire.frame(part, (0x80 if i == len(parts) - 1 else 0) | (0x01 if i == 0 else 0x00)))
            if data.draw(st.booleans()):
                frames.append(wire.frame(b"p", data.draw(st.sampled_from([wire.PING, wire.PONG]))))
    transport, peer = open_line()
    peer.send(*frames)

    assert pump_until(transport, len(messages)) == [b"".join(parts) for parts in messages]
    transport.close(timeout_s=0.0)
    peer.close()
    gc.collect()
