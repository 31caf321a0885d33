"""The real stack, front door to simulator, raw servers for what the simulator is too polite for, and a check for leaks."""

from __future__ import annotations

import base64
import contextlib
import gc
import hashlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pykka
import pytest

from trunkline import Broker, BrokerProxy, Config, Event, EventStream, OpenAIGateway, SessionProxy
from trunkline.simulator import Simulator

PATIENCE_S = 20.0
TEXT: dict[str, Any] = {
    "modalities": ["text"],
    "turn_detection": "none",
    "input_audio_transcription": False,
}


def eventually(condition: Callable[[], object], what: object = "it", patience_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + patience_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what() if callable(what) else what} did not come true within {patience_s} s")
        pause.wait(0.005)


class Footprint:
    """What this process has open: threads, actors, descriptors."""

    def __init__(self) -> None:
        self.threads = set(threading.enumerate())
        self.actors = {ref.actor_urn for ref in pykka.ActorRegistry.get_all()}
        self.descriptors = _descriptors()

    def left_over(self) -> str:
        """Return what is there now and was not then."""
        now = Footprint()
        threads = [thread.name for thread in now.threads - self.threads if thread.is_alive()]
        actors = [str(ref) for ref in pykka.ActorRegistry.get_all() if ref.actor_urn not in self.actors]
        descriptors = now.descriptors - self.descriptors
        found = [*threads, *actors, *map(str, sorted(descriptors))]
        return ", ".join(found)

    def comes_back(self) -> None:
        """Wait until nothing is left over."""
        deadline = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while left := self.left_over():
            if time.monotonic() > deadline:
                gc.collect()
                pytest.fail(f"left behind: {left}")
            pause.wait(0.01)


def _descriptors() -> set[tuple[int, str]]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{number}")
            if target.startswith(("socket:", "anon_inode:", "pipe:")):
                found.add((int(number), target))
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[Footprint]:
    before = Footprint()
    yield before
    before.comes_back()


@pytest.fixture
def stack(nothing_is_left_behind: Footprint) -> Iterator[ExitStack]:
    with ExitStack() as cleanup:
        yield cleanup


@pytest.fixture
def simulate(stack: ExitStack) -> Callable[..., Simulator]:
    def start(*args: Any, **options: Any) -> Simulator:
        simulator = stack.enter_context(Simulator(*args, **options))
        simulator.wire.timeout_s = PATIENCE_S
        return simulator

    return start


def _stop(broker: BrokerProxy) -> None:
    broker.stop().get(timeout=PATIENCE_S)


@pytest.fixture
def start_broker(stack: ExitStack) -> Callable[..., BrokerProxy]:
    """Start a broker on a simulator, a URL or a gateway; what else is given is its Config."""

    def start(where: Any, *, model: str = "gpt-realtime-2", **config: Any) -> BrokerProxy:
        if isinstance(where, Simulator):
            where = where.url
        gateway = OpenAIGateway("a-key", base_url=where) if isinstance(where, str) else where
        broker = Broker.start(model, gateway=gateway, config=Config(**{**TEXT, **config}))
        stack.callback(_stop, broker)
        return broker

    return start


class Trunk:
    """A simulator with a broker on it, and ways to look at the pair."""

    def __init__(self, simulator: Simulator, broker: BrokerProxy) -> None:
        self.simulator = simulator
        self.broker = broker
        self.wire = simulator.wire

    def connect(self, **overrides: Any) -> SessionProxy:
        return self.broker.connect(**overrides).get(timeout=PATIENCE_S)

    @property
    def directory(self) -> Any:
        actor = self.broker._root._actor_weakref()
        assert actor is not None, "the tree is gone"
        return actor._directory

    def actors(self) -> dict[str, str]:
        """Return the urns of the tree by "Class id", workers left out."""
        rows: dict[str, str] = {}

        def walk(node: Any) -> None:
            if node.actor_class not in ("ConnectWorker", "ToolWorker"):
                rows[f"{node.actor_class} {node.id}"] = node.urn
            for child in node.children:
                walk(child)

        walk(self.broker.tree())
        return rows

    def workers(self) -> list[str]:
        names = ("ConnectWorker", "ToolWorker")
        return [str(ref) for ref in pykka.ActorRegistry.get_all() if ref.actor_class.__name__ in names]


@pytest.fixture
def trunk(
    simulate: Callable[..., Simulator], start_broker: Callable[..., BrokerProxy]
) -> Callable[..., Trunk]:
    """Start a simulator with this brain (and these options) and a broker with this Config on it."""

    def start(brain: Any = None, *, options: dict[str, Any] | None = None, **config: Any) -> Trunk:
        simulator = simulate(brain, **(options or {}))
        return Trunk(simulator, start_broker(simulator, **config))

    return start


class Reader:
    """Reads a stream with a deadline and remembers what it read."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream
        self.seen: list[Event] = []

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.seen]

    def until(self, kind: str | type, **fields: Any) -> Any:
        """Read on to the next event of this kind, with these fields; return it."""
        while True:
            try:
                event = self.stream.get(PATIENCE_S)
            except Exception as error:
                pytest.fail(f"no {kind} {fields}: {error}; seen: {self.seen}")
            self.seen.append(event)
            named = event.kind == kind if isinstance(kind, str) else isinstance(event, kind)
            if named and all(getattr(event, name) == value for name, value in fields.items()):
                return event

    def texts(self, count: int) -> list[str]:
        """Read on until this many answers in words are there; return them."""
        return [self.until("assistant_text").text for _ in range(count)]

    def rest(self) -> list[str]:
        """Read to the end; return the kinds of everything that was seen."""
        self.until("session_closed")
        assert self.stream.ended
        assert list(self.stream) == []
        assert self.kinds.count("session_closed") == 1, self.seen
        assert self.kinds.count("session_opened") <= 1, self.seen
        return self.kinds


@pytest.fixture(scope="session")
def read() -> type[Reader]:
    return Reader


class Probe(pykka.ThreadingActor):
    """Somebody else's actor, which subscribes."""

    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []
        self.closed = threading.Event()
        self.events: list[Event] = []

    def on_receive(self, message: Any) -> Any:
        if message == "die":
            self.stop()
            return None
        self.messages.append(message)
        if hasattr(message, "event"):
            self.events.append(message.event)
        else:
            self.closed.set()
        return None


@pytest.fixture
def probe(stack: ExitStack) -> Callable[[], Any]:
    """Start a plain pykka actor that records what it is told; returns (its ref, the actor itself)."""

    def start() -> Any:
        ref = Probe.start()
        actor = ref._actor_weakref()
        stack.callback(ref.stop)
        return ref, actor

    return start


class RawServer:
    """Listens on loopback and runs a script per connection, in a thread of its own."""

    def __init__(self, script: Callable[[Peer], object]) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, name="raw server", daemon=True)]
        self.errors: list[BaseException] = []
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/v1/realtime"
        self.accepted = threading.Event()
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,), name="raw connection", daemon=True)
            self._threads.append(thread)
            thread.start()
            self.accepted.set()

    def _run(self, sock: socket.socket) -> None:
        try:
            with sock:
                sock.settimeout(PATIENCE_S)
                self._script(Peer(sock))
        except (OSError, EOFError):
            pass  # the client went away: its business
        except BaseException as error:
            self.errors.append(error)

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # stopped already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a server script hangs"
        assert not self.errors, self.errors


class Peer:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def read_request(self) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = self.sock.recv(4096)
            if not chunk:
                raise EOFError
            head += chunk
        return head

    def upgrade(self) -> None:
        head = self.read_request()
        key = next(
            line.split(b":", 1)[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
        ]
        self.sock.sendall(b"\r\n".join([*lines, b"", b""]))

    def send(self, payload: str | bytes, first: int = 0x81) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        n = len(data)
        head = struct.pack("!BB", first, n) if n < 126 else struct.pack("!BBH", first, 126, n)
        self.sock.sendall(head + data)

    def close(self, code: int, reason: str = "") -> None:
        self.send(struct.pack("!H", code) + reason.encode(), 0x88)

    def hold(self) -> None:
        """Read and answer nothing until the client goes away."""
        while self.sock.recv(4096):
            pass


@pytest.fixture
def raw_server(stack: ExitStack) -> Callable[[Callable[[Peer], object]], RawServer]:
    def start(script: Callable[[Peer], object]) -> RawServer:
        server = RawServer(script)
        stack.callback(server.stop)
        return server

    return start


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    return eventually


@pytest.fixture(scope="session")
def patience_s() -> float:
    return PATIENCE_S
