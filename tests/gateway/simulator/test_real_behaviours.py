"""What the real service does on the line, as a client without any library sees it. Source: protocol.md A.8."""

from __future__ import annotations

import inspect
import time
from random import Random

import pytest

from trunkline.gateway.simulator import Simulator
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.session_core import SessionCore

PING, PONG, CLOSE, BINARY = 9, 10, 8, 2
EOF, RESET = "EOF", "RESET"


@pytest.mark.parametrize(
    ("options", "code", "close_code"),
    [
        ({"api_key": "k"}, "invalid_api_key", 3000),
        ({"models": ["another"]}, "invalid_model", 4000),
        ({"refuse_error": ("beta_api_shape_disabled", "No more", 4000)}, "beta_api_shape_disabled", 4000),
    ],
)
def test_a_refusal_is_101_then_an_error_then_close_then_the_end_of_tcp(
    simulate, raw, options, code, close_code
):
    client = raw(simulate(**options), upgrade=False)
    assert client.upgrade().startswith("HTTP/1.1 101 ")
    error = client.event()
    assert (error["type"], error["error"]["code"]) == ("error", code)
    assert error["event_id"]
    assert error["error"]["type"] == "invalid_request_error"
    client.send(close_code.to_bytes(2, "big"), CLOSE)
    assert client.closed() == (close_code, f"invalid_request_error.{code}", EOF)


def test_it_pings_every_so_often_and_is_content_with_pongs(simulate, raw):
    client = raw(simulate(ping_interval_s=1.0))
    payloads = []
    for _ in range(2):
        first, second, payload = client.frame()
        assert (first, second & 0x80) == (0x80 | PING, 0)
        client.send(payload, PONG)
        payloads.append(payload)
    assert len(set(payloads)) == 2


def test_it_pings_every_twenty_seconds_by_default():
    assert inspect.signature(Simulator).parameters["ping_interval_s"].default == 20.0


def test_who_does_not_answer_a_ping_is_closed_with_1011(simulate, raw):
    client = raw(simulate(ping_interval_s=0.1))
    first, _, _ = client.frame()
    assert first == 0x80 | PING
    code, reason, _ = client.closed()
    assert (code, reason) == (1011, "keepalive ping timeout")


def test_without_an_interval_it_never_pings(simulate, raw):
    raw(simulate(ping_interval_s=None)).quiet(0.3)


def test_a_session_that_is_too_old_gets_the_error_and_1001_with_the_same_text(simulate, raw):
    before = time.time()
    client = raw(simulate(session_max_age_s=0.2), created=False)
    created = client.event()
    assert before - 1 <= created["session"]["expires_at"] <= time.time() + 1
    error = client.event()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "session_expired")
    assert error["message"] == "Your session hit the maximum duration of 0.2 seconds."
    assert client.closed()[:2] == (1001, error["message"])


@pytest.mark.parametrize(
    ("age_s", "words"),
    [(3600.0, "60 minutes"), (60.0, "1 minute"), (90.0, "90 seconds"), (4.0, "4 seconds"), (1, "1 second")],
)
def test_the_error_names_the_age_in_whole_minutes_or_in_seconds(age_s, words):
    _, reason = SessionCore(Ids(Random(0)), "m", 0).expire(age_s)
    assert reason == f"Your session hit the maximum duration of {words}."


def test_a_session_lives_sixty_minutes_by_default(simulate, raw):
    created = raw(simulate(), created=False).event()
    assert 3595 <= created["session"]["expires_at"] - time.time() <= 3600


def test_tcp_may_end_without_a_close_behind_what_was_said(simulate, raw):
    simulator = simulate()
    client = raw(simulator)
    simulator.inject('{"type": "last.words"}')
    simulator.drop_all()
    assert client.event() == {"type": "last.words"}
    assert client.frame() == EOF
    client.socket.close()
    (closed,) = simulator.wire.wait_closed(1)
    assert closed.code == 1006


def test_tcp_may_end_with_a_reset(simulate, raw):
    simulator = simulate()
    client = raw(simulator)
    simulator.abort_all()
    assert client.frame() == RESET


@pytest.mark.parametrize(
    ("frame", "opcode", "code"),
    [
        (b"not json", 1, "invalid_json"),
        (b"{}", BINARY, "invalid_event"),
        (b'{"type":"no.such.event","event_id":"mine"}', 1, None),
        (
            b'{"type":"session.update","session":{"type":"realtime","nope":1},"event_id":"mine"}',
            1,
            "unknown_parameter",
        ),
    ],
)
def test_bad_input_is_an_error_and_not_the_end(simulate, raw, frame, opcode, code):
    client = raw(simulate())
    client.send(frame, opcode)
    error = client.event()["error"]
    assert error["event_id"] == ("mine" if b"mine" in frame else None)
    assert error["code"] == code or code is None
    client.send({"type": "input_audio_buffer.clear"})
    assert client.event()["type"] == "input_audio_buffer.cleared"


def test_the_close_of_a_client_is_answered_in_kind(simulate, raw):
    client = raw(simulate())
    client.send(b"\x0f\xa1bye", CLOSE)
    assert client.closed() == (4001, "bye", EOF)
