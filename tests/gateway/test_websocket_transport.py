import contextlib
import os
import select
import socket
import struct
import threading
import time
import tracemalloc

import pytest

from trunkline.gateway.errors import ConfigError, LineClosed, SendBufferFull
from trunkline.gateway.websocket_transport import connect_websocket

LIMIT_S = 30.0


@pytest.fixture
def fill(is_full):
    """`fill(transport)`: send audio until the socket takes no more; return how many frames went into the transport."""

    def send(transport):
        for sent in range(1, 1000):
            transport.send_audio(b"%06d" % sent + b"a" * 50_000)
            if is_full(transport):
                return sent
        raise AssertionError("the socket takes everything")

    return send


def flush_in_step(transport, peer, n):
    """Read n frames at the peer while the transport flushes; return their payloads."""
    frames = []

    def read():
        frames.extend(peer.read_frame() for _ in range(n))

    reader = threading.Thread(target=read)
    reader.start()
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLOUT)
    deadline = time.monotonic() + LIMIT_S
    while transport.wants_write:
        assert time.monotonic() < deadline
        poll.poll(100)
        transport.flush()
    reader.join(LIMIT_S)
    assert not reader.is_alive()
    return [payload for _, payload in frames]


# ------------------------------------------------------------------------------------------------------------ sending


@pytest.mark.parametrize("n", [0, 1, 125, 126, 65535, 65536])
def test_a_message_of_any_size_class_leaves_as_one_masked_text_frame(open_line, wire, n):
    transport, peer = open_line()
    transport.send(b"x" * n)
    transport.send_audio(b"y" * n)

    assert peer.read_frame() == (wire.TEXT, b"x" * n)
    assert peer.read_frame() == (wire.TEXT, b"y" * n)
    assert not transport.wants_write


def test_a_send_to_a_reader_that_has_stopped_does_not_block_and_arrives_whole_later(open_line):
    transport, peer = open_line(receive_buffer=4096)
    big = bytes(range(256)) * 20_000  # more than a send buffer ever is
    transport.send(big)

    assert transport.wants_write
    assert flush_in_step(transport, peer, 1) == [big]


def test_a_read_takes_no_more_memory_than_what_came(open_line, wire):
    """Larger blocks that are given back at once leave holes in the heap: a process with many sessions grows on."""
    transport, peer = open_line()
    seen = []
    for text in (b"first", b"second"):
        peer.send(wire.frame(text))
        select.select([transport], [], [], LIMIT_S)
        tracemalloc.start()
        transport.pump(lambda view: seen.append(bytes(view)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert seen == [b"first", b"second"]
    assert peak < 65_536


def test_control_goes_ahead_of_waiting_audio_but_not_into_a_frame_that_has_been_begun(open_line, fill):
    transport, peer = open_line(receive_buffer=4096)
    sent = fill(transport)
    transport.send_audio(b"late audio")
    transport.send(b"cancel")
    transport.send(b"truncate")
    payloads = flush_in_step(transport, peer, sent + 3)

    assert [payload[:6] for payload in payloads[: sent - 1]] == [b"%06d" % n for n in range(1, sent)]
    assert payloads.index(b"cancel") + 1 == payloads.index(b"truncate")
    assert payloads.index(b"cancel") in (sent - 1, sent)
    assert payloads[-1] == b"late audio"


def test_audio_above_the_bound_is_refused_whole_and_control_never_is(open_line, fill):
    transport, peer = open_line(receive_buffer=4096, send_buffer_bytes=200_000)
    accepted = fill(transport)

    def overfill():
        nonlocal accepted
        for _ in range(100):
            transport.send_audio(b"%06d" % (accepted + 1) + b"a" * 50_000)
            accepted += 1

    with pytest.raises(SendBufferFull) as full:
        overfill()
    transport.send(b"c" * 300_000)
    payloads = flush_in_step(transport, peer, accepted + 1)

    assert full.value.limit_bytes == 200_000
    audio = [payload for payload in payloads if payload[:1] == b"0"]
    assert [payload[:6] for payload in audio] == [b"%06d" % n for n in range(1, accepted + 1)]
    assert payloads.count(b"c" * 300_000) == 1


def test_one_audio_frame_over_the_bound_passes_an_empty_buffer(open_line):
    transport, peer = open_line(send_buffer_bytes=1000)
    transport.send_audio(b"a" * 5000)

    assert peer.read_frame()[1] == b"a" * 5000


def test_a_server_that_pings_without_reading_gets_one_answer_to_its_last_ping(
    open_line, pump_until, wire, is_full
):
    transport, peer = open_line(receive_buffer=4096)
    transport.send(b"x" * 8_000_000)
    assert is_full(transport)
    for n in range(20):
        peer.send(*(wire.frame(b"%02d" % n, wire.PING) for _ in range(100)), wire.frame("m"))
        pump_until(transport, 1)
    data = bytearray()

    def read():
        while data[-8:-6] != b"\x88\x82":
            data.extend(peer.sock.recv(65536))
        peer.send(wire.close(1000))

    reader = threading.Thread(target=read)
    reader.start()
    transport.close(timeout_s=LIMIT_S)
    reader.join(LIMIT_S)
    assert not reader.is_alive()
    pongs = data[14 + 8_000_000 : -8]
    assert (pongs[:2], wire.xor(pongs[6:], pongs[2:6])) == (b"\x8a\x82", b"19")


def test_a_failed_write_ends_the_line_at_the_next_pump(open_line, pump_until):
    transport, peer = open_line()
    peer.reset()
    transport.send(b"one")
    transport.send(b"two")
    transport.send_audio(b"three")

    assert not transport.wants_write
    assert pump_until(transport)[1].close_code == 1006


def test_a_failed_write_ends_a_line_that_could_still_be_read(open_line, pump_until):
    transport, _ = open_line()
    with socket.socket(fileno=os.dup(transport.fileno())) as same:
        same.shutdown(socket.SHUT_WR)
    transport.send(b"into nothing")
    closed = pump_until(transport)[1]

    assert closed.close_code == 1006
    assert "writing failed" in closed.reason


def test_the_reason_the_server_gave_survives_a_failed_write(open_line, pump_until, wire):
    """A refused key is 101, error event, CLOSE 3000: the reset that our first send meets must not hide it."""
    transport, peer = open_line()
    peer.send(wire.frame("error event"), wire.close(3000, "invalid_request_error.invalid_api_key"))
    peer.close()
    for _ in range(3):
        transport.send(b"session.update")
    messages, closed = pump_until(transport)

    assert messages == [b"error event"]
    assert closed.close_code == 3000
    assert not closed.recoverable


# ---------------------------------------------------------------------------------------------------------- keepalive


def test_service_pings_when_due_and_says_when_it_wants_to_be_called_next(open_line, wire):
    transport, peer = open_line(ping_interval_s=20.0, pong_timeout_s=7.0)

    assert transport.service(100.0) == 120.0
    assert transport.service(110.0) == 120.0
    assert transport.service(120.0) == 127.0
    assert peer.read_frame() == (wire.PING, b"")


def test_a_line_is_pinged_every_20_s_and_is_lost_20_s_after_a_ping_that_nothing_answers(
    open_line, pump_until, wire
):
    transport, peer = open_line()  # the contract's figures are the defaults

    assert transport.service(0.0) == 20.0
    assert transport.service(20.0) == 40.0
    assert peer.read_frame() == (wire.PING, b"")
    peer.send(wire.frame(b"", wire.PONG), wire.frame("m"))
    pump_until(transport, 1)
    assert transport.service(39.9) == 40.0
    assert transport.service(40.0) == 60.0
    assert peer.read_frame() == (wire.PING, b"")
    assert transport.service(59.9) == 60.0
    with pytest.raises(LineClosed, match="answered no ping") as closed:
        transport.service(60.0)
    assert (closed.value.close_code, closed.value.recoverable) == (1011, True)


def test_a_pong_keeps_the_line(open_line, pump_until, wire):
    transport, peer = open_line(ping_interval_s=20.0, pong_timeout_s=7.0)
    transport.service(0.0)
    transport.service(20.0)
    assert peer.read_frame()[0] == wire.PING
    peer.send(wire.frame(b"", wire.PONG), wire.frame("m"))
    pump_until(transport, 1)

    assert transport.service(27.0) == 40.0


def test_a_mute_server_is_a_lost_line(open_line):
    transport, _ = open_line(ping_interval_s=20.0, pong_timeout_s=7.0)
    transport.service(0.0)
    transport.service(20.0)
    with pytest.raises(LineClosed) as closed:
        transport.service(27.0)
    assert closed.value.recoverable
    with pytest.raises(LineClosed):
        transport.pump(lambda view: None)


def test_an_owner_that_is_late_does_not_take_a_live_line_for_dead(open_line, pump_until, wire):
    transport, peer = open_line(ping_interval_s=20.0, pong_timeout_s=7.0)
    transport.service(0.0)
    transport.service(20.0)
    peer.send(wire.frame(b"", wire.PONG), wire.frame("m"))
    assert select.select([transport], [], [], LIMIT_S)[0]

    assert transport.service(500.0) == 501.0
    pump_until(transport, 1)
    assert transport.service(501.0) > 501.0


def test_a_socket_that_takes_nothing_is_a_lost_line(open_line, is_full):
    transport, _ = open_line(receive_buffer=4096, stall_timeout_s=10.0, ping_interval_s=1000.0)
    transport.send(b"x" * 20_000_000)
    assert is_full(transport)

    assert transport.service(0.0) == 10.0
    assert transport.service(9.9) == 10.0
    with pytest.raises(LineClosed) as closed:
        transport.service(10.0)
    assert closed.value.recoverable


def test_a_socket_that_takes_something_is_not_stalled(open_line, fill):
    transport, peer = open_line(receive_buffer=4096, stall_timeout_s=10.0, ping_interval_s=1000.0)
    sent = fill(transport)
    transport.service(0.0)
    transport.send(b"x" * 3_000_000)

    def read():
        with contextlib.suppress(EOFError, ConnectionError):
            for _ in range(sent):
                peer.read_frame()

    reader = threading.Thread(target=read)
    reader.start()
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLOUT)
    assert poll.poll(LIMIT_S * 1000)

    assert transport.service(10.0) > 10.0
    transport.abort()
    peer.sock.shutdown(socket.SHUT_RDWR)
    reader.join(LIMIT_S)


# ------------------------------------------------------------------------------------------------------------- ending


def test_close_flushes_what_waits_then_says_close_with_code_and_reason(open_line, wire, fill):
    transport, peer = open_line(receive_buffer=4096)
    sent = fill(transport)
    transport.send(b"last")
    frames = []

    def serve():
        frames.extend(peer.read_frame() for _ in range(sent + 2))
        peer.send(wire.close(1000))

    server = threading.Thread(target=serve)
    server.start()
    transport.close(4001, "done", timeout_s=LIMIT_S)
    server.join(LIMIT_S)

    assert frames[-1] == (wire.CLOSE, struct.pack("!H", 4001) + b"done")
    assert b"last" in [payload for _, payload in frames]
    assert peer.sock.recv(1) == b""


def test_close_waits_for_the_servers_close_through_messages_and_pings_and_answers_none(open_line, wire):
    transport, peer = open_line()
    peer.send(wire.frame("late delta"), wire.frame(b"x", wire.PING), wire.close(1000))
    transport.close(timeout_s=LIMIT_S)

    assert peer.read_frame()[0] == wire.CLOSE
    with pytest.raises((EOFError, ConnectionError)):
        peer.read_frame()


def test_close_at_a_mute_server_ends_within_its_bound(open_line, wire):
    transport, peer = open_line()
    transport.close(timeout_s=0.05)

    assert transport.fileno() == -1
    assert peer.read_frame()[0] == wire.CLOSE
    assert peer.sock.recv(1) == b""


def test_close_at_a_server_that_drips_ends_within_its_bound(open_line):
    transport, peer = open_line()
    stop = threading.Event()

    def drip():
        try:
            while not stop.wait(0.01):
                peer.send(b"\x81\x00")
        except OSError:
            pass

    server = threading.Thread(target=drip)
    server.start()
    transport.close(timeout_s=0.1)
    stop.set()
    server.join(LIMIT_S)

    assert transport.fileno() == -1


def test_close_at_a_server_that_does_not_read_ends_within_its_bound(open_line, fill):
    transport, _ = open_line(receive_buffer=4096)
    fill(transport)
    transport.close(timeout_s=0.05)

    assert transport.fileno() == -1


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_close_without_any_time_still_says_close(open_line, wire, timeout_s):
    transport, peer = open_line()
    transport.close(timeout_s=timeout_s)

    assert peer.read_frame()[0] == wire.CLOSE


def test_close_is_idempotent_and_works_after_the_line_has_ended(open_line, pump_until):
    transport, peer = open_line()
    peer.reset()
    pump_until(transport)
    transport.close()
    transport.close()
    transport.abort()

    assert transport.fileno() == -1


def test_close_at_a_reset_connection_does_not_raise(open_line):
    transport, peer = open_line()
    peer.reset()
    transport.close()

    assert transport.fileno() == -1


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        (1006, "", struct.pack("!H", 1000)),
        (70000, "", struct.pack("!H", 1000)),
        (1001, "x" * 200, struct.pack("!H", 1001) + b"x" * 123),
        (1000, "é" * 100, struct.pack("!H", 1000) + "é".encode() * 61),
        (1000, "\ud800", struct.pack("!H", 1000) + b"?"),
    ],
)
def test_close_sends_a_legal_frame_whatever_it_is_given(open_line, wire, code, reason, payload):
    transport, peer = open_line()
    transport.close(code, reason, timeout_s=0.0)

    assert peer.read_frame() == (wire.CLOSE, payload)


def test_abort_from_another_thread_wakes_an_owner_that_waits(open_line, pump_until):
    transport, peer = open_line()
    aborter = threading.Thread(target=transport.abort)
    aborter.start()
    messages, closed = pump_until(transport)
    aborter.join(LIMIT_S)

    assert messages == []
    assert (closed.close_code, closed.reason) == (1006, "aborted by this side")
    assert peer.sock.recv(1) == b""
    assert transport.fileno() >= 0, "the number stays ours until close"


def test_abort_from_another_thread_ends_a_close_that_waits(open_line, wire):
    transport, peer = open_line()
    closer = threading.Thread(target=transport.close, kwargs={"timeout_s": 60.0})
    closer.start()
    assert peer.read_frame()[0] == wire.CLOSE
    transport.abort()
    closer.join(LIMIT_S)

    assert not closer.is_alive()


# --------------------------------------------------------------------------------------------------------- take-over


def test_messages_that_came_with_the_upgrade_are_there_at_the_first_pump(open_line, pump_until, wire):
    transport, _ = open_line(follow=wire.frame("session.created") + wire.frame("more"))

    assert pump_until(transport, 2) == [b"session.created", b"more"]


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan"), float("inf")])
def test_a_timeout_that_bounds_nothing_is_refused(timeout_s):
    with pytest.raises(ConfigError) as error:
        connect_websocket("ws://127.0.0.1:1/", headers={}, timeout_s=timeout_s)
    assert error.value.field == "timeout_s"


BAD_HEADERS = [
    ("X-A", "b\r\nX-C: d"),
    ("X-A\r\n", "b"),
    ("X A", "b"),
    ("", "b"),
    ("X-A", "é"),
    ("X-A", "\x00"),
]
RESERVED = [
    "Host",
    "Upgrade",
    "connection",
    "Sec-WebSocket-Key",
    "sec-websocket-protocol",
    "Cookie",
    "Content-Length",
]


@pytest.mark.parametrize(("name", "value"), [*BAD_HEADERS, *((name, "x") for name in RESERVED)])
def test_a_header_that_would_break_the_request_is_refused(name, value):
    with pytest.raises(ConfigError) as error:
        connect_websocket("ws://127.0.0.1:1/", headers={name: value}, timeout_s=1.0)
    assert error.value.field == "headers"
