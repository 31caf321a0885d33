"""A client on a real socket, plain dictionaries in and out, and a watch on leaked threads."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ssl import TLSVersion
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from trunkline.gateway.simulator import Simulator

DEADLINE_S = 30.0
Event = dict[str, Any]


class Client:
    """A realtime client without any of our code: it sends and receives plain JSON."""

    def __init__(self, url: str, model: str | None = "gpt-realtime-2", **options: Any) -> None:
        query = "" if model is None else f"?model={model}"
        if "ssl" in options:
            # websockets reads and writes one SSL socket in two threads. Under TLS 1.3, where the server's tickets come while the
            # request goes out, that hangs about once in a thousand times, at any server.
            options["ssl"].maximum_version = TLSVersion.TLSv1_2
        self._stack = ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(
            connect(
                url + query,
                open_timeout=DEADLINE_S,
                close_timeout=1,
                compression=None,
                max_size=None,
                proxy=None,
                **options,
            )
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, type: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": type, **fields}))

    def next(self) -> Event:
        return json.loads(self.socket.recv(timeout=DEADLINE_S))

    def until(self, type: str) -> list[Event]:
        """Receive up to and with the next event of this type."""
        events = [self.next()]
        while events[-1]["type"] != type:
            events.append(self.next())
        return events

    def expect(self, type: str) -> Event:
        """Receive the next event, which has to be of this type."""
        event = self.next()
        assert event["type"] == type, event
        return event

    def refused(self, type: str, **fields: Any) -> Event:
        """Send something that is refused, and return the error."""
        self.send(type, **fields)
        return self.expect("error")["error"]

    def text_session(self, **session: Any) -> Client:
        """Take `session.created` and switch to text."""
        self.expect("session.created")
        self.send("session.update", session={"type": "realtime", "output_modalities": ["text"], **session})
        self.expect("session.updated")
        return self

    def say(self, text: str, **item: Any) -> Event:
        """Add a user message and return the item."""
        content = [{"type": "input_text", "text": text}]
        self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **item}
        )
        self.expect("conversation.item.added")
        return self.expect("conversation.item.done")["item"]

    def respond(self, **response: Any) -> list[Event]:
        """Ask for a response and receive all of it."""
        self.send("response.create", **({"response": response} if response else {}))
        return self.until("rate_limits.updated")

    def ask(self, text: str) -> str:
        """Say something and return the text of the answer."""
        self.say(text)
        return "".join(
            event["delta"] for event in self.respond() if event["type"] == "response.output_text.delta"
        )


TEXT, PING, PONG = 1, 9, 10
EOF, RESET, SILENCE = "EOF", "RESET", "SILENCE"


class Raw:
    """A WebSocket client without a library: bytes out, bytes in, frames taken apart by hand."""

    def __init__(self, simulator, *, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket.connect(("127.0.0.1", int(simulator.url.split(":")[2].split("/")[0])))
        except OSError:
            self.socket.close()
            raise
        self.read = b""

    def upgrade(self):
        """Ask for the upgrade and return the answer's head."""
        self.socket.sendall(
            b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        while b"\r\n\r\n" not in self.read:
            if (end := self._more()) is not None:
                return end
        head, _, self.read = self.read.partition(b"\r\n\r\n")
        return head.decode()

    def send(self, event, opcode=TEXT):
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        if len(payload) < 126:
            head = bytes([0x80 | opcode, 0x80 | len(payload)])
        elif len(payload) < 65536:
            head = bytes([0x80 | opcode, 0xFE]) + struct.pack("!H", len(payload))
        else:
            head = bytes([0x80 | opcode, 0xFF]) + struct.pack("!Q", len(payload))
        self.socket.sendall(head + bytes(4) + payload)

    def frame(self):
        """Return the next frame as (first byte, second byte, payload); or EOF or RESET."""
        if (end := self._need(2)) is not None:
            return end
        first, second = self.read[:2]
        length, at = second & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            self._need(at + size)
            length, at = int.from_bytes(self.read[at : at + size], "big"), at + size
        at += 4 if second & 0x80 else 0
        if (end := self._need(at + length)) is not None:
            return end
        payload, self.read = self.read[at : at + length], self.read[at + length :]
        return first, second, payload

    def event(self):
        """Return the next frame as an event, which it has to be; pings that come before it are answered."""
        first, second, payload = self.frame()
        while first == 0x80 | PING:
            self.send(payload, PONG)
            first, second, payload = self.frame()
        assert (first, second & 0x80) == (0x81, 0), (first, second, payload[:100])
        return json.loads(payload)

    def types(self, last):
        """Return the types of the events up to and with the first of this type."""
        types = [self.event()["type"]]
        while types[-1] != last:
            types.append(self.event()["type"])
        return types

    def closed(self):
        """Return the code and reason of the CLOSE that has to come next, and what comes behind it."""
        first, _, payload = self.frame()
        assert first == 0x88, (first, payload)
        return int.from_bytes(payload[:2], "big"), payload[2:].decode(), self.frame()

    def quiet(self, seconds=0.2):
        """Make sure that nothing comes for a while."""
        self.socket.settimeout(seconds)
        end = self._more()
        self.socket.settimeout(DEADLINE_S)
        assert end == SILENCE, end

    def _need(self, n):
        while len(self.read) < n:
            if (end := self._more()) is not None:
                return end
        return None

    def _more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return RESET
        except TimeoutError:
            return SILENCE
        self.read += data
        return None if data else EOF


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), f"left over: {thread.name}"


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def simulate(cleanup: ExitStack) -> Callable[..., Simulator]:
    """Start a simulator with the given arguments."""

    def start(*args: Any, **kwargs: Any) -> Simulator:
        simulator = Simulator(*args, **kwargs).start()
        cleanup.callback(simulator.stop, DEADLINE_S)
        simulator.wire.timeout_s = DEADLINE_S
        return simulator

    return start


@pytest.fixture
def connected(cleanup: ExitStack) -> Callable[..., Client]:
    """Connect a client to a simulator."""

    def start(simulator: Simulator, model: str | None = "gpt-realtime-2", **options: Any) -> Client:
        return cleanup.enter_context(Client(simulator.url, model, **options))

    return start


@pytest.fixture
def client_of(cleanup: ExitStack) -> Callable[..., Client]:
    """Connect a client to a URL."""

    def start(url: str, model: str | None = "gpt-realtime-2", **options: Any) -> Client:
        return cleanup.enter_context(Client(url, model, **options))

    return start


@pytest.fixture
def raw(cleanup):
    """Make a raw client, with its upgrade done and `session.created` taken unless told otherwise."""

    def start(simulator, *, upgrade=True, created=True, **options):
        client = Raw(simulator, **options)
        cleanup.callback(client.socket.close)
        if upgrade:
            assert client.upgrade().startswith("HTTP/1.1 101")
            if created:
                assert client.event()["type"] == "session.created"
        return client

    return start
