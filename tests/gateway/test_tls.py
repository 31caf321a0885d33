"""The same line over TLS: what poll does not see, and what a full socket may not be asked to change."""

import select
import threading
import time

import pytest

LIMIT_S = 30.0


def test_messages_go_both_ways(open_line, pump_until, wire):
    transport, peer = open_line(tls=True)
    transport.send(b"hello")

    assert peer.read_frame() == (wire.TEXT, b"hello")
    peer.send(wire.frame("one"), wire.frame(b"x" * 100_000))
    assert pump_until(transport, 2) == [b"one", b"x" * 100_000]


def test_messages_that_were_decrypted_with_the_upgrade_are_there_at_the_first_pump(open_line, wire):
    transport, _ = open_line(tls=True, follow=wire.frame("session.created"))
    seen = []
    transport.pump(lambda view: seen.append(bytes(view)))

    assert seen == [b"session.created"]


def test_a_pump_leaves_nothing_behind_inside_openssl(open_line, pump_until, wire):
    transport, peer = open_line(tls=True)
    record = b"".join(wire.frame(b"%05d" % n) for n in range(2000))
    peer.send(record[:16384], record[16384:])

    assert pump_until(transport, 2000) == [b"%05d" % n for n in range(2000)]


def test_a_partial_record_is_nothing_yet(open_line, pump_until, wire):
    transport, peer = open_line(tls=True)
    assert transport.pump(lambda view: pytest.fail("there was no message")) is None
    peer.send(wire.frame("now"))

    assert pump_until(transport, 1) == [b"now"]


def test_the_end_of_the_stream_is_1006_with_and_without_close_notify(open_line, pump_until):
    for polite in (True, False):
        transport, peer = open_line(tls=True)
        if polite:
            peer.sock.setblocking(False)
            with pytest.raises(OSError):
                peer.sock.unwrap()
        else:
            peer.close()

        assert pump_until(transport)[1].close_code == 1006


def test_frames_survive_a_socket_that_is_full_and_control_still_overtakes(open_line, is_full):
    """OpenSSL wants the same bytes again after it could not write them: a frame it has seen keeps its place."""
    transport, peer = open_line(tls=True, receive_buffer=4096)
    audio = [b"%06d" % n + bytes([n % 256]) * 40_000 for n in range(1000)]
    sent = 0
    while not is_full(transport):
        transport.send_audio(audio[sent])
        sent += 1
    for payload in audio[sent : sent + 5]:
        transport.send_audio(payload)
    transport.send(b"cancel")
    frames = []
    reader = threading.Thread(target=lambda: frames.extend(peer.read_frame() for _ in range(sent + 6)))
    reader.start()
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLOUT)
    deadline = time.monotonic() + LIMIT_S
    while transport.wants_write:
        assert time.monotonic() < deadline
        poll.poll(100)
        transport.flush()
    reader.join(LIMIT_S)

    payloads = [payload for _, payload in frames]
    assert payloads.index(b"cancel") == sent
    assert [payload for payload in payloads if payload != b"cancel"] == audio[: sent + 5]


def test_abort_from_another_thread_ends_the_line_and_not_the_tls_state_under_the_reader(
    open_line, pump_until, wire
):
    transport, peer = open_line(tls=True)
    peer.send(wire.frame("before"))
    select.select([transport], [], [], LIMIT_S)
    aborter = threading.Thread(target=transport.abort)
    aborter.start()
    aborter.join(LIMIT_S)
    messages, closed = pump_until(transport)

    assert messages == [b"before"]
    assert closed.close_code == 1006


def test_close_exchanges_close_frames(open_line, wire):
    transport, peer = open_line(tls=True)
    peer.send(wire.frame("late"), wire.close(1000))
    transport.close(timeout_s=LIMIT_S)

    assert peer.read_frame()[0] == wire.CLOSE


def test_close_hears_the_close_that_came_with_the_upgrade_and_lies_where_poll_does_not_see_it(
    open_line, wire
):
    transport, peer = open_line(tls=True, follow=wire.frame("session.created") + wire.close(1000))
    closer = threading.Thread(target=transport.close, kwargs={"timeout_s": 60.0})
    closer.start()
    closer.join(LIMIT_S)

    try:
        assert not closer.is_alive(), "it waits for what has come already"
    finally:
        transport.abort()
        closer.join(LIMIT_S)
    assert peer.read_frame()[0] == wire.CLOSE
