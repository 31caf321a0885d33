"""The record of the wire."""

from __future__ import annotations

import threading

import pytest

from trunkline.gateway.simulator import Closed, WireLog


def test_frames_are_kept_in_order_by_direction_type_and_connection():
    log = WireLog()
    log.note_frame("sent", 1, "a", '{"type": "a", "n": 1}')
    log.note_frame("received", 1, "a", '{"type": "a", "n": 2}')
    log.note_frame("sent", 2, "b", '{"type": "b", "n": 3}')
    log.note_frame("sent", 2, "a", '{"type": "a", "n": 4}')
    assert [event["n"] for event in log.sent()] == [1, 3, 4]
    assert [event["n"] for event in log.sent("a")] == [1, 4]
    assert [event["n"] for event in log.sent("a", connection=2)] == [4]
    assert [event["n"] for event in log.received()] == [2]
    assert [event.connection for event in log.sent()] == [1, 2, 2]


@pytest.mark.parametrize("frame", ["{", "[]", b"\xff", "1e999"])
def test_a_frame_that_is_no_object_is_kept_as_it_was(frame):
    log = WireLog()
    log.note_frame("sent", 1, None, frame)
    assert log.sent() == [{"type": None, "frame": frame}]


def test_waiting_ends_when_the_frame_comes():
    log = WireLog()
    threading.Thread(target=log.note_frame, args=("sent", 1, "a", '{"type": "a"}')).start()
    assert log.wait_sent("a") == [{"type": "a"}]


def test_waiting_in_vain_says_what_did_come():
    log = WireLog()
    log.note_frame("sent", 1, "b", '{"type": "b"}')
    with pytest.raises(TimeoutError, match="2 x a sent; the wire saw: 1 x b sent"):
        log.wait_sent("a", count=2, timeout_s=0.01)
    with pytest.raises(TimeoutError):
        log.wait_received("b", timeout_s=0.01)
    with pytest.raises(TimeoutError):
        log.wait_closed(timeout_s=0.01)


def test_ends_of_connections_are_kept():
    log = WireLog()
    log.note_closed(Closed(1, 1000, "bye"))
    assert log.wait_closed() == log.closed() == [Closed(1, 1000, "bye")]


@pytest.mark.parametrize("limit", [0, 2])
def test_no_more_frames_are_kept_than_the_limit(limit):
    log = WireLog(limit)
    for number in range(5):
        log.note_frame("received", number, "a", "{}")
    assert len(log.received()) == limit


@pytest.mark.parametrize(
    ("way", "type", "says"),
    [
        ("sent", "response.craete", "did you mean 'response.create'"),
        ("received", "response.creatd", "did you mean 'response.created'"),
        ("sent", "response.created", r"ask received\(\)"),
        ("received", "response.create", r"ask sent\(\)"),
    ],
)
def test_a_claim_about_events_that_cannot_be_is_refused(way, type, says):
    log = WireLog()
    with pytest.raises(ValueError, match=says):
        getattr(log, way)(type)
    assert getattr(log, way)(type, any_type=True) == []
    log.note_frame(way, 1, type, "{}")  # an event of nobody's has come all the same
    getattr(log, way)(type).once()
