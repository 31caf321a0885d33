"""Fixtures of the gateway's tests: both ends of a real line in one thread, raw servers, and a check for leaks."""

import contextlib
import gc
import os
import select
import socket
import ssl
import struct
import threading
import time
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path

import pytest

from trunkline.gateway.errors import LineClosed
from trunkline.gateway.line_limits import LineLimits
from trunkline.gateway.websocket_transport import connect_websocket

LIMIT_S = 30.0
TLS = Path(__file__).parent / "tls"


def open_sockets():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def nothing_is_leaked():
    """Fail on a thread or a socket that the test leaves behind, and on a socket that only the collector closes."""
    sockets, threads = open_sockets(), set(threading.enumerate())
    yield
    deadline = time.monotonic() + LIMIT_S
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread for thread in set(threading.enumerate()) - threads if thread.is_alive()]
    assert not left, f"threads left behind: {left}"
    if open_sockets() - sockets:
        gc.collect()  # closes, with a ResourceWarning, what hangs in a cycle; costs 20 ms, so only on suspicion
    assert not open_sockets() - sockets, "sockets left behind"


class Wire:
    """Plain RFC 6455, written independently of the code under test."""

    TEXT, BINARY, CONT, CLOSE, PING, PONG = 0x81, 0x82, 0x80, 0x88, 0x89, 0x8A

    @staticmethod
    def frame(payload=b"", first=0x81, mask=None):
        payload = payload.encode() if isinstance(payload, str) else bytes(payload)
        bit = 0x80 if mask else 0
        n = len(payload)
        if n < 126:
            head = struct.pack("!BB", first, bit | n)
        elif n < 65536:
            head = struct.pack("!BBH", first, bit | 126, n)
        else:
            head = struct.pack("!BBQ", first, bit | 127, n)
        return head + (mask + Wire.xor(payload, mask) if mask else payload)

    @staticmethod
    def close(code, reason=""):
        return Wire.frame(struct.pack("!H", code) + reason.encode(), Wire.CLOSE)

    @staticmethod
    def xor(payload, mask):
        key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
        return (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


class Peer:
    """The server's end of a line: what a test sends, and what it sees."""

    def __init__(self, sock, head=b""):
        self.sock = sock
        self.head = head
        sock.settimeout(LIMIT_S)

    def send(self, *frames):
        self.sock.sendall(b"".join(frames))

    def read(self, n):
        data = b""
        while len(data) < n:
            chunk = self.sock.recv(n - len(data))
            if not chunk:
                raise EOFError(f"the client closed after {len(data)} of {n} bytes")
            data += chunk
        return data

    def read_frame(self):
        """Return (first byte, payload) of the client's next frame; fails if it is not masked."""
        first, length = self.read(2)
        assert length & 0x80, "a client must mask"
        n = length & 0x7F
        if n == 126:
            (n,) = struct.unpack("!H", self.read(2))
        elif n == 127:
            (n,) = struct.unpack("!Q", self.read(8))
        mask = self.read(4)
        return first, Wire.xor(self.read(n), mask)

    def reset(self):
        """Close with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def read_request(sock):
    sock.settimeout(LIMIT_S)
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = sock.recv(4096)
        if not chunk:
            raise EOFError("no request")
        head += chunk
    return head


def accept_line(head):
    key = next(
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    return b"Sec-WebSocket-Accept: " + b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def switching_protocols(head, *extra):
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        accept_line(head),
    ]
    return b"\r\n".join([*lines, *extra, b"", b""])


@dataclass
class RawServer:
    """Listens on loopback; each connection runs the script in a thread of its own. What a script raises fails the test."""

    script: object
    listener: socket.socket
    context: ssl.SSLContext | None = None
    threads: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def url(self):
        scheme, host = ("wss", "localhost") if self.context else ("ws", "127.0.0.1")
        return f"{scheme}://{host}:{self.port}/v1/realtime"

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=self.run, args=(sock,), name="raw server connection", daemon=True
            )
            self.threads.append(thread)
            thread.start()

    def run(self, sock):
        try:
            with sock:
                sock.settimeout(LIMIT_S)
                self.script(sock)
        except (ConnectionError, EOFError):
            pass  # the client went away: its business
        except Exception as error:
            self.errors.append(error)

    def start(self):
        self.threads.append(threading.Thread(target=self.serve, name="raw server", daemon=True))
        self.threads[0].start()
        return self

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive(), "a server script hangs"
        assert not self.errors, self.errors


@pytest.fixture
def raw_server():
    """`raw_server(script)` starts a server on loopback that runs `script(sock)` per connection."""
    servers = []

    def start(script, context=None):
        servers.append(RawServer(script, socket.create_server(("127.0.0.1", 0)), context).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def answer(raw_server):
    """`answer(bytes)` starts a server that gives this answer to every upgrade, and then closes."""

    def start(response):
        def script(sock):
            server.requests.append(read_request(sock))
            sock.sendall(response)

        server = raw_server(script)
        return server

    return start


@pytest.fixture(scope="session")
def wire():
    return Wire


@pytest.fixture(scope="session")
def handshake():
    """The server's half of an upgrade: `handshake.read(sock)`, `handshake.accept(head, *header lines)`."""

    class Handshake:
        read = staticmethod(read_request)
        accept = staticmethod(switching_protocols)

    return Handshake


@pytest.fixture(scope="session")
def tls_contexts():
    """(server context, client context that trusts it) for localhost and 127.0.0.1."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(TLS / "localhost.pem", TLS / "localhost.key")
    client = ssl.create_default_context(cafile=TLS / "localhost.pem")
    return server, client


@pytest.fixture
def open_line(tls_contexts):
    """`open_line(**limits)` returns (transport, peer): both ends of one upgraded connection, in the test's own thread."""
    cleanup = []

    def upgrade_peer(listener, tls, follow, result):
        sock, _ = listener.accept()
        if tls:
            sock = tls_contexts[0].wrap_socket(sock, server_side=True)
        result.append(Peer(sock, read_request(sock)))
        sock.sendall(switching_protocols(result[0].head) + follow)

    def start(*, tls=False, follow=b"", receive_buffer=None, headers=None, ssl_context=None, **limits):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if receive_buffer:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            result = []
            thread = threading.Thread(target=upgrade_peer, args=(listener, tls, follow, result), daemon=True)
            thread.start()
            url = f"{'wss' if tls else 'ws'}://localhost:{listener.getsockname()[1]}/v1/realtime?model=m"
            transport = connect_websocket(
                url,
                headers=headers or {},
                timeout_s=LIMIT_S,
                ssl_context=ssl_context or (tls_contexts[1] if tls else None),
                limits=LineLimits(**limits),
            )
            cleanup.append(lambda: transport.close(timeout_s=0.0))
            thread.join(LIMIT_S)
            cleanup.append(result[0].close)
            return transport, result[0]

    yield start
    for step in cleanup:
        step()


@pytest.fixture(scope="session")
def is_full():
    """`is_full(transport)`: whether its socket takes no more. The kernel may find room a moment later, when the peer's tells it."""

    def ask(transport):
        quiet = 0
        while quiet < 6:
            transport.flush()
            if not transport.wants_write:
                return False
            quiet = 0 if select.select([], [transport], [], 0.05)[1] else quiet + 1
        return True

    return ask


@pytest.fixture
def refusing_port():
    """A port where nobody listens, and which nobody else can take meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def deaf_address():
    """The address of somebody who listens and whose queue of connections is full, so that a further one waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        crowd = [stack.enter_context(socket.socket()) for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        assert select.select([], crowd, [], LIMIT_S)[1]
        yield listener.getsockname()


@pytest.fixture(scope="session")
def pump_until():
    """`pump_until(transport, n)` pumps until n messages came and returns them; `n=None` until `LineClosed`, and returns both.

    Flushes as the contract asks; fails, with what came, when nothing happens for ten seconds.
    """

    def run(transport, n=None, handle=None):
        messages = []

        def take(view):
            messages.append(bytes(view))
            if handle:
                handle(view)

        try:
            transport.pump(take)
            while n is None or len(messages) < n:
                poll = select.poll()
                poll.register(
                    transport.fileno(), select.POLLIN | (select.POLLOUT if transport.wants_write else 0)
                )
                events = poll.poll(LIMIT_S * 1000)
                assert events, f"nothing came; so far {len(messages)} messages"
                if events[0][1] & select.POLLOUT:
                    transport.flush()
                if events[0][1] & ~select.POLLOUT:
                    transport.pump(take)
        except LineClosed as closed:
            if n is not None:
                pytest.fail(f"closed after {len(messages)} of {n} messages: {closed!r}")
            return messages, closed
        return messages

    return run
