"""Whatever bytes a client sends: the simulator lives, leaks neither thread nor connection, and serves the others meanwhile.

`TRUNKLINE_FUZZ=100` runs a hundred times as many examples.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEADLINE_S = 30.0
VOLUME = int(os.environ.get("TRUNKLINE_FUZZ", "1"))
pytestmark = pytest.mark.timeout(300 * VOLUME)
KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="
UPGRADE = (
    b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def fuzz(n_examples):
    return settings(
        max_examples=n_examples * VOLUME,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


class Watched:
    """A simulator, a healthy session on it, and what must hold however the others behave."""

    def __init__(self, simulator, client, caplog):
        self.simulator = simulator
        self._client = client.text_session()
        self._caplog = caplog
        self._threads = set(threading.enumerate())
        self.n_attacks = 0

    def serves(self):
        """Make sure that the healthy session is served; each fiftieth time with a whole turn."""
        self.n_attacks += 1
        self._client.send("input_audio_buffer.clear")
        self._client.expect("input_audio_buffer.cleared")
        if self.n_attacks % 50 == 1:
            self._client.say("What's the capital of Kenya?")
            assert self._client.respond(conversation="none")[-2]["type"] == "response.done"

    def is_well(self):
        """Make sure that nothing is left of the others."""
        self.simulator.wait_connections(1, DEADLINE_S)
        assert set(threading.enumerate()) == self._threads
        errors = [record for record in self._caplog.records if record.levelno >= logging.WARNING]
        assert errors == []

    def connect(self):
        port = int(self.simulator.url.split(":")[2].split("/")[0])
        attacker = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        attacker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return attacker

    def upgraded(self):
        attacker = self.connect()
        attacker.sendall(UPGRADE)
        answer = b""
        while b'"session.created"' not in answer:
            answer += attacker.recv(1 << 16)
        return attacker


@pytest.fixture
def watched(simulate, connected, caplog):
    # No pings: websockets chooses their payload with the global `random`, which Hypothesis takes for its strategies' doing.
    simulator = simulate(log_limit=1000, ping_interval_s=None)
    return Watched(simulator, connected(simulator, ping_interval=None), caplog)


ENDINGS = st.sampled_from(["close", "half-close", "reset"])


def attack(attacker, pieces, ending):
    """Send the pieces, whatever comes back, and end the connection one way or another."""
    try:
        for piece in pieces:
            attacker.sendall(piece)
        if ending == "half-close":
            attacker.shutdown(socket.SHUT_WR)
            attacker.settimeout(DEADLINE_S)
            while attacker.recv(1 << 16):
                pass
        elif ending == "reset":
            attacker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass  # the simulator had enough
    finally:
        attacker.close()


# -- before the upgrade ------------------------------------------------------------------------------------------------

header_words = st.sampled_from(
    [b"Host", b"Upgrade", b"Connection", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version", b"Content-Length",
     b"Transfer-Encoding", b"Authorization", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions", b"OpenAI-Beta"]
)  # fmt: skip
header_values = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b"websocket", b"Upgrade", KEY, b"13", b"chunked", b"999999999999", b"-1", b"realtime, openai-insecure-api-key.",
         b"permessage-deflate; x=\"", b"Bearer ", b"Bearer \xff", b"a" * 9000]
    ),
)  # fmt: skip
requests = st.builds(
    lambda method, path, version, headers, end: (
        method + b" " + path + b" " + version + b"\r\n"
        + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + end
    ),
    st.sampled_from([b"GET", b"POST", b"CONNECT", b"\x16\x03\x01", b""]),
    st.sampled_from([b"/v1/realtime?model=m", b"/v1/realtime?model=%ff&model", b"*", b"//[/realtime", b"http://[::/realtime",
                     b"/realtime?" + b"&" * 5000, b"/\xff/realtime", b""]),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9", b""]),
    st.lists(st.tuples(header_words, header_values), max_size=12),
    st.sampled_from([b"\r\n", b"", b"\n", b"\r\n\r\n\r\n"]),
)  # fmt: skip
upgrades = st.builds(
    lambda at, junk: [UPGRADE[:at], junk, UPGRADE[at:]], st.integers(0, len(UPGRADE)), st.binary(max_size=20)
)
openings = st.one_of(
    st.lists(st.binary(max_size=300), max_size=4), st.lists(requests, max_size=2), upgrades,
    st.just([b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000]), st.just([b"A" * 100_000]),
)  # fmt: skip


def test_any_bytes_instead_of_an_upgrade(watched):
    @fuzz(200)
    @given(openings, ENDINGS)
    def survives(pieces, ending):
        attack(watched.connect(), pieces, ending)
        watched.serves()

    survives()
    watched.is_well()


# -- frames that are none ----------------------------------------------------------------------------------------------


@st.composite
def broken_frames(draw):
    """A frame whose head may say anything, about a payload that may be another one."""
    payload = draw(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(
                [b'{"type":"response.create"}', b"\x03", b"\x03\xe8\xff\xff", b"\x00\x00", b"\xed\xa0\x80"]
            ),
        )
    )
    first = draw(
        st.one_of(st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A]), st.integers(0, 255))
    )
    length = draw(
        st.one_of(
            st.just(len(payload)),
            st.sampled_from([0, 1, 125, 126, 65535, 65536, 2**25, 2**25 + 1, 2**62, 2**63, 2**64 - 1]),
        )
    )
    mask = draw(st.sampled_from([0x80, 0x80, 0x80, 0]))
    if length < 126 and draw(st.booleans()):
        head = bytes([first, mask | length])
    elif length < 65536:
        head = bytes([first, mask | 126]) + struct.pack("!H", length)
    else:
        head = bytes([first, mask | 127]) + struct.pack("!Q", length)
    key = bytes(4) if mask else b""
    whole = head + key + payload
    return whole[: draw(st.sampled_from([len(whole), len(whole), len(whole) // 2, 1]))]


def test_any_bytes_after_the_upgrade(watched):
    @fuzz(200)
    @given(st.lists(st.one_of(broken_frames(), st.binary(max_size=100)), max_size=6), ENDINGS)
    def survives(pieces, ending):
        attack(watched.upgraded(), pieces, ending)
        watched.serves()

    survives()
    watched.is_well()


# -- frames that look like events --------------------------------------------------------------------------------------

TYPES = [
    "session.update",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "input_audio_buffer.append",
    "input_audio_buffer.clear",
    "input_audio_buffer.commit",
    "output_audio_buffer.clear",
    "response.cancel",
    "response.create",
    "transcription_session.update",
]
NAMES = [
    "type",
    "event_id",
    "session",
    "item",
    "item_id",
    "previous_item_id",
    "response",
    "response_id",
    "audio",
    "input",
    "output",
    "format",
    "rate",
    "voice",
    "speed",
    "content",
    "content_index",
    "audio_end_ms",
    "text",
    "role",
    "id",
    "call_id",
    "arguments",
    "name",
    "tools",
    "tool_choice",
    "parameters",
    "instructions",
    "metadata",
    "conversation",
    "max_output_tokens",
    "output_modalities",
    "turn_detection",
    "threshold",
    "prefix_padding_ms",
    "silence_duration_ms",
    "idle_timeout_ms",
    "create_response",
    "interrupt_response",
    "eagerness",
    "transcription",
    "model",
    "language",
    "prompt",
    "tracing",
    "truncation",
    "retention_ratio",
    "token_limits",
    "reasoning",
    "effort",
    "noise_reduction",
    "include",
    "parallel_tool_calls",
    "server_label",
    "server_url",
    "status",
]
TOKENS = [
    "null", "true", "false", "0", "-0", "-1", "1e308", "1e999", "-1e999", "9" * 400, "0." + "1" * 400, "1e-999", "NaN",
    "Infinity", '""', r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', '"\u2028"', r'"\x"', '"' + "y" * 5000 + '"', "[]", "{}",
    "[" * 200 + "]" * 200, "[" * 5000, '{"a":' * 150 + "1" + "}" * 150, '{"a":' * 600 + "1" + "}" * 600,
    '"realtime"', '"message"', '"user"', '"assistant"', '"function_call"', '"function_call_output"', '"mcp"', '"input_text"',
    '"input_audio"', '"input_image"', '"item_reference"', '"audio/pcm"', '"audio/pcmu"', '"server_vad"', '"semantic_vad"',
    '"none"', '"auto"', '"inf"', '"AAAA"', '"!!!!"', '"root"', '"gpt-realtime-2"', '"whisper-1"', "24000",
]  # fmt: skip


def _object(fields):
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"


json_values = st.recursive(
    st.one_of(
        st.sampled_from(TOKENS),
        st.integers().map(str),
        st.text(max_size=10).map(json.dumps),
        st.sampled_from(TYPES).map(json.dumps),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda values: "[" + ",".join(values) + "]"),
        # not a dictionary: names may come twice
        st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=5).map(_object),
    ),
    max_leaves=12,
)
event_texts = st.builds(
    lambda type, fields, last: _object([("type", json.dumps(type)), *fields, *last]),
    st.sampled_from(TYPES),
    st.lists(st.tuples(st.sampled_from(NAMES), json_values), max_size=4),
    st.sampled_from([[], [], [("type", '"response.create"')], [("event_id", '"x"')]]),
)


def test_anything_that_looks_like_an_event(watched, connected):
    client = connected(watched.simulator, ping_interval=None).text_session()
    sent = 0

    @fuzz(300)
    @given(st.lists(st.one_of(event_texts, json_values, st.binary(max_size=50)), min_size=1, max_size=5))
    def survives(texts):
        nonlocal sent
        for text in texts:
            client.socket.send(text)
        sent += 1
        # What is not known is refused with its own id: all that came before it was dealt with.
        client.send("marker", event_id=f"marker {sent}")
        while (event := client.next()).get("error", {}).get("event_id") != f"marker {sent}":
            assert isinstance(event["type"], str)
            assert isinstance(event["event_id"], str)
        watched.serves()

    survives()
    client.socket.close()
    watched.is_well()
