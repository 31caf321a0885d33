"""Faults on the wire: what a client sees through the proxy. Trunkline's own line, a plain websockets client, and bare sockets."""

import json
import select
import socket
import ssl
import struct
import threading
import time
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from trunkline.gateway import OpenAIGateway
from trunkline.gateway.errors import (
    ConfigError,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    LineClosed,
    ProtocolError,
    Unreachable,
)
from trunkline.gateway.faults import (
    ActiveResponseRace,
    Close,
    CompressedBit,
    CutFrame,
    DoneForUnknown,
    DoneTwice,
    Drip,
    Duplicate,
    EndlessFrame,
    FaultPlan,
    FaultProxy,
    FragmentFlood,
    Garbage,
    HalfOpen,
    HttpStatus,
    ImpossibleFault,
    InvalidSchedule,
    InvalidUtf8,
    Lose,
    MaskedFrame,
    MissingField,
    NoClose,
    NotJson,
    OversizedFrame,
    RateLimit,
    Refuse,
    Reorder,
    Reset,
    SessionExpired,
    SilentUpgrade,
    SlowReader,
    Stall,
    WrongType,
    proxy_line,
)
from trunkline.gateway.line_limits import LineLimits
from trunkline.gateway.websocket_transport import connect_websocket

LIMIT_S = 30.0


def event(kind, **fields):
    return json.dumps({"type": kind, **fields}).encode()


HELLO = event("session.created", session={"id": "sess_1"})
A, B, C = (event("response.output_text.delta", delta=letter, response_id="r") for letter in "abc")
DONE = event(
    "response.done", event_id="event_1", response={"id": "resp_1", "status": "completed", "output": []}
)


@pytest.fixture
def server(raw_server, handshake, wire):
    """`server(*messages)`: greets and says these, then answers PING and CLOSE as one should; `heard` is what clients said."""

    def start(*messages, hangs_up=False):
        heard = []

        def script(sock):
            frames = b"".join(wire.frame(message) for message in (HELLO, *messages))
            sock.sendall(
                handshake.accept(handshake.read(sock)) + frames
            )  # at once: nothing can come in between
            if hangs_up:
                return
            while (frame := read_frame(sock, wire)) is not None:
                first, payload = frame
                if first == wire.PING:
                    sock.sendall(wire.frame(payload, wire.PONG))
                elif first == wire.CLOSE:
                    sock.sendall(wire.frame(payload, wire.CLOSE))
                    return
                else:
                    heard.append(payload)

        running = raw_server(script)
        running.heard = heard
        return running

    return start


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        chunk = sock.recv(n - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def read_frame(sock, wire):
    """Return (first byte, payload) of the next client frame, None at the end."""
    head = read_exactly(sock, 2)
    if head is None:
        return None
    n = head[1] & 127
    if n > 125:
        n = int.from_bytes(read_exactly(sock, 2 if n == 126 else 8), "big")
    mask = read_exactly(sock, 4)
    return head[0], wire.xor(read_exactly(sock, n) or b"", mask)


@pytest.fixture
def through():
    """`through(server, *injections)`: a running proxy in front of it."""
    running = []

    def start(server, *injections):
        running.append(FaultProxy(server.url, FaultPlan(*injections, seed=11)).start())
        return running[-1]

    yield start
    for proxy in running:
        proxy.stop()


@pytest.fixture
def dial():
    """`dial(proxy, **options)`: Trunkline's own line through it."""
    lines = []

    def start(proxy, **options):
        lines.append(connect_websocket(proxy.url, headers={}, timeout_s=LIMIT_S, **options))
        return lines[-1]

    yield start
    for line in lines:
        line.close(timeout_s=0.0)


def serve_to_the_end(transport):
    """Serve a line as its owner does, time included; return the messages and how it ended."""
    messages = []
    poll = select.poll()
    until = time.monotonic() + LIMIT_S
    try:
        while (now := time.monotonic()) < until:
            due = transport.service(now)
            poll.register(
                transport.fileno(), select.POLLIN | (select.POLLOUT if transport.wants_write else 0)
            )
            for _, ready in poll.poll(max(0.0, min(due, until) - time.monotonic()) * 1000):
                if ready & select.POLLOUT:
                    transport.flush()
                if ready & ~select.POLLOUT:
                    transport.pump(lambda view: messages.append(bytes(view)))
    except LineClosed as closed:
        return messages, closed
    raise AssertionError(f"the line did not end; it gave {messages}")


# -- nothing wrong


def test_without_a_fault_both_directions_pass_as_they_are(server, through, dial, pump_until):
    origin = server(A, B)
    proxy = through(origin)
    line = dial(proxy)
    assert pump_until(line, 3) == [HELLO, A, B]
    assert (proxy.connections, proxy.accepted) == (1, 1)
    line.send(C)
    line.close(1000, timeout_s=LIMIT_S)
    assert origin.heard == [C]
    assert urlsplit(proxy.url).path == urlsplit(origin.url).path


def test_no_event_waits_for_the_one_before_to_be_acknowledged(server, through, dial):
    proxy = through(server())
    transport = dial(proxy)
    (line,) = proxy._lines.values()  # from outside only a clock could tell
    for writer in (line._to_client, line._to_server):
        assert writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    transport.close()


def test_large_messages_pass_in_both_directions(server, through):
    origin = server(b"x" * 3_000_000)
    with connect(through(origin).url, max_size=None, proxy=None) as client:
        assert client.recv(LIMIT_S).encode() == HELLO
        assert client.recv(LIMIT_S) == "x" * 3_000_000
        client.send("y" * 2_000_000)
    assert origin.heard == [b"y" * 2_000_000]


def test_no_compression_is_agreed_on_so_that_the_frames_stay_readable(through, raw_server, handshake):
    heads = []

    def script(sock):
        heads.append(handshake.read(sock))
        sock.sendall(handshake.accept(heads[0]))

    origin = raw_server(script)
    with connect(through(origin).url, proxy=None, compression="deflate", close_timeout=0.2):
        pass
    assert b"Sec-WebSocket-Key" in heads[0]
    assert b"Extensions" not in heads[0]


def test_a_server_that_hangs_up_and_one_that_is_not_there(server, through, dial, pump_until, refusing_port):
    messages, closed = pump_until(dial(through(server(A, hangs_up=True))), None)
    assert (messages, closed.close_code) == ([HELLO, A], 1006)
    with (
        FaultProxy(f"ws://127.0.0.1:{refusing_port}/", FaultPlan()) as proxy,
        pytest.raises(Unreachable),
    ):
        connect_websocket(proxy.url, headers={}, timeout_s=LIMIT_S)


def test_a_refusal_of_the_server_s_own_comes_through(answer, through):
    origin = answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nno way")
    proxy = through(origin)
    with pytest.raises(HandshakeRefused) as refused:
        connect_websocket(proxy.url, headers={}, timeout_s=LIMIT_S)
    assert refused.value.status == 403
    with bare(proxy) as sock:
        assert read_to_the_end(sock) == b"no way"


# -- the upgrade


def test_refused_connections_are_unreachable(server, through):
    proxy = through(server(), Refuse().at_connection(1))
    with pytest.raises(Unreachable) as refused:
        connect_websocket(proxy.url, headers={}, timeout_s=LIMIT_S)
    assert refused.value.recoverable
    connect_websocket(proxy.url, headers={}, timeout_s=LIMIT_S).close()
    proxy.plan.verify()


def test_an_upgrade_that_is_never_answered_costs_the_deadline(server, through):
    proxy = through(server(), SilentUpgrade().every(1))
    with pytest.raises(ConnectTimeout):
        connect_websocket(proxy.url, headers={}, timeout_s=0.3)
    with pytest.raises(TimeoutError):
        connect(proxy.url, open_timeout=0.3, proxy=None)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_an_http_status_refuses_the_upgrade(server, through, status):
    proxy = through(server(), HttpStatus(status, retry_after_s=7).every(1))
    gateway = OpenAIGateway("sk-test", proxy.url)
    with pytest.raises(HandshakeRefused) as refused:
        gateway.connect("m", timeout_s=LIMIT_S)
    assert (refused.value.status, refused.value.retry_after_s) == (status, 7)
    assert refused.value.recoverable == (status in (429, 500, 503))
    with pytest.raises(InvalidStatus) as plain:
        connect(proxy.url, proxy=None)
    assert plain.value.response.status_code == status
    assert json.loads(plain.value.response.body)["error"]["message"]


# -- the end of the line: what Trunkline's own line, and a plain client, make of each


@pytest.mark.parametrize(
    ("injection", "before", "code", "says", "plain"),
    [
        (Reset().at_frame(2), [HELLO], 1006, "reset", None),
        (Reset().after(0.7), [HELLO, A, B], 1006, "reset", None),
        (Reset().on("response.output_text.delta", nth=2), [HELLO, A], 1006, "reset", None),
        (CutFrame().at_frame(2), [HELLO], 1006, "without a CLOSE", None),
        (Close(1011, "why").at_frame(2), [HELLO], 1011, "why", 1011),
        (Close(1013).after(0.7), [HELLO, A, B], 1013, "", 1013),
        (Close(4000, "no").at_frame(3), [HELLO, A], 4000, "no", 4000),
        (Close(1005).at_frame(1), [], 1002, "", None),
        (Close(999).at_frame(1), [], 1002, "", None),
        (Close(0).at_frame(1), [], 1002, "", None),
        (SessionExpired().at_frame(2), [HELLO, "session_expired"], 1001, "maximum duration", 1001),
        (Garbage().at_frame(2), [HELLO], 1002, "illegal frame", None),
        (Garbage(4000).after(0.7), [HELLO, A, B], 1002, "illegal frame", None),
        (EndlessFrame().at_frame(2), [HELLO], 1009, "a frame of 4611686018427387904 bytes", None),
        (OversizedFrame().at_frame(2), [HELLO], 1009, "a frame of 16777217 bytes", None),
        (FragmentFlood().at_frame(2), [HELLO], 1009, "16384 fragments", None),
        (CompressedBit().at_frame(2), [HELLO], 1002, "first byte 0xc1", None),
        (MaskedFrame().at_frame(2), [HELLO], 1002, "masked frame", None),
    ],
    ids=repr,
)
def test_each_end_has_its_code(server, through, dial, pump_until, injection, before, code, says, plain):
    proxy = through(server(A, B), injection.on_every_connection())
    messages, closed = pump_until(dial(proxy), None)
    expected = [message for message in before if message != "session_expired"]
    assert messages[: len(expected)] == expected
    if "session_expired" in before:
        assert OpenAIGateway.decode(messages[-1]).error.code == "session_expired"
    else:
        assert messages == expected
    assert closed.close_code == code
    assert says in closed.reason
    proxy.plan.verify()
    if isinstance(injection.fault, EndlessFrame):
        return  # the plain client waits for its end
    with connect(proxy.url, proxy=None, close_timeout=0.2) as client:
        with pytest.raises(ConnectionClosed) as ended:
            receive_all(client)
        assert (ended.value.rcvd.code if plain else None) == plain


def receive_all(client):
    while True:
        client.recv(LIMIT_S)


def test_the_tail_of_a_cut_frame_never_comes(server, through, wire):
    with bare(through(server(A), CutFrame().at_frame(2))) as sock:
        rest = read_to_the_end(sock)
    frame = wire.frame(A)
    assert rest == wire.frame(HELLO) + frame[: len(frame) // 2]


def bare(proxy):
    """Upgrade on a bare socket."""
    parts = urlsplit(proxy.url)
    sock = socket.create_connection((parts.hostname, parts.port), LIMIT_S)
    sock.sendall(
        b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        % parts.path.encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return sock


def read_to_the_end(sock):
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


def test_nothing_follows_the_end(server, through, wire):
    proxy = through(server(A), Close(1011).at_frame(1), Garbage().after(0.2))
    with bare(proxy) as sock:
        assert read_to_the_end(sock) == wire.close(1011)
        waited = threading.Event()
        while len(proxy.plan.fired) < 2:
            waited.wait(0.01)
    proxy.stop()  # raises what went wrong inside


def test_a_half_open_line_ends_by_missed_pongs_and_nothing_else(server, through, dial):
    proxy = through(server(A, B), HalfOpen().at_frame(2))
    line = dial(proxy, limits=LineLimits(ping_interval_s=0.5, pong_timeout_s=0.5))
    messages, closed = serve_to_the_end(line)
    assert (messages, closed.close_code, closed.reason) == ([HELLO], 1011, "the server answered no ping")


def test_a_server_that_never_reads_stalls_the_socket(server, through, dial):
    origin = server()
    proxy = through(origin, SlowReader(0).at_frame(1))
    line = dial(proxy, limits=LineLimits(stall_timeout_s=0.3))
    for _ in range(40):
        line.send(b"x" * 250_000)
    assert line.wants_write
    _, closed = serve_to_the_end(line)
    assert (closed.close_code, closed.reason) == (1006, "the socket takes no data")
    assert origin.heard == []


def test_a_slow_server_gets_everything_at_its_pace(server, through, dial):
    origin = server()
    line = dial(through(origin, SlowReader(20_000).at_frame(1)))
    began = time.monotonic()
    for number in range(10):
        line.send(b"%d" % number * 1000)
    line.close(timeout_s=LIMIT_S)
    assert origin.heard == [b"%d" % number * 1000 for number in range(10)]
    assert time.monotonic() - began > 0.4, "10 KB at 20 KB per second"


def test_a_stalled_line_goes_on_with_nothing_lost(server, through, dial, pump_until):
    origin = server(A, B)
    line = dial(through(origin, Stall(3.0).at_frame(2)))
    line.send(C)
    assert pump_until(line, 1) == [HELLO]
    poll = select.poll()
    poll.register(line.fileno(), select.POLLIN)
    assert not poll.poll(200), "it came before the stall was over"
    assert pump_until(line, 2) == [A, B]
    line.close(timeout_s=LIMIT_S)
    assert origin.heard == [C]


def test_a_drip_comes_in_many_reads_and_whole(server, through, dial):
    for interval_s in (0.02, 0.5):  # a client that is late finds several pieces at once
        line = dial(through(server(A), Drip(5, interval_s).at_frame(2)))
        messages, reads = [], 0
        poll = select.poll()
        poll.register(line.fileno(), select.POLLIN)
        while len(messages) < 2:
            assert poll.poll(LIMIT_S * 1000)
            line.pump(lambda view, messages=messages: messages.append(bytes(view)))
            reads += 1
        assert messages == [HELLO, A]
        if reads >= 3:
            break
    assert reads >= 3, "one for the whole event, and more than one for the other"


def test_a_close_that_is_never_answered_costs_the_caller_s_time_and_no_more(
    server, through, dial, pump_until
):
    proxy = through(server(A), NoClose().at_frame(1))
    line = dial(proxy)
    assert pump_until(line, 2) == [HELLO, A]
    began = time.monotonic()
    line.close(timeout_s=0.3)
    assert time.monotonic() - began >= 0.3
    proxy.plan.verify()


# -- messages


@pytest.mark.parametrize(
    ("injection", "arrives"),
    [
        (Lose().at_frame(2), [HELLO, B, C]),
        (Duplicate().at_frame(3), [HELLO, A, B, B, C]),
        (Reorder().at_frame(2), [HELLO, B, A, C]),
        (NotJson().at_frame(1), [HELLO[: len(HELLO) // 2], A, B, C]),
    ],
    ids=repr,
)
def test_events_are_lost_doubled_swapped_and_cut(server, through, dial, pump_until, injection, arrives):
    proxy = through(server(A, B, C), injection)
    assert pump_until(dial(proxy), len(arrives)) == arrives
    proxy.plan.verify()


@pytest.mark.parametrize(
    ("injection", "arrives"),
    [
        (Lose().at_frame(1, "sent"), [B, C]),
        (Duplicate().at_frame(2, "sent"), [A, B, B, C]),
        (Reorder().at_frame(1, "sent"), [B, A, C]),
    ],
    ids=repr,
)
def test_what_is_sent_is_lost_doubled_and_swapped_too(server, through, dial, injection, arrives):
    origin = server()
    line = dial(through(origin, injection))
    for message in (A, B, C):
        line.send(message)
    line.close(timeout_s=LIMIT_S)
    assert origin.heard == arrives


def test_events_are_spoiled_invented_and_doubled(server, through, dial, pump_until):
    proxy = through(
        server(A, DONE, DONE, DONE),
        MissingField("session.id").at_frame(1),
        WrongType("delta").at_frame(2),
        DoneForUnknown().at_frame(3),
        DoneTwice().at_frame(1),
        RateLimit().at_frame(2),
        InvalidUtf8().at_frame(5),
    )
    hello, delta, unknown, first, second, limited, invalid = pump_until(dial(proxy), 7)
    assert json.loads(hello) == {"type": "session.created", "session": {}}
    assert json.loads(delta)["delta"] == 7
    assert json.loads(unknown)["response"]["id"] != "resp_1"
    assert json.loads(first)["response"] == json.loads(second)["response"]
    assert OpenAIGateway.decode(limited).response.status_details.error.code == "rate_limit_exceeded"
    with pytest.raises(ProtocolError):
        OpenAIGateway.decode(invalid)
    proxy.plan.verify()


def test_invalid_utf8_ends_a_strict_client_with_1007(server, through):
    with connect(through(server(), InvalidUtf8().at_frame(1)).url, proxy=None) as client:
        with pytest.raises(ConnectionClosedError) as ended:
            client.recv(LIMIT_S)
        assert ended.value.sent.code == 1007


def test_an_active_response_is_in_the_way_of_a_create(server, through, dial, pump_until):
    origin = server()
    proxy = through(origin, ActiveResponseRace().at_frame(1))
    line = dial(proxy)
    assert pump_until(line, 1) == [HELLO]
    line.send(
        event("response.create", event_id="mine", response={"metadata": {"a": "b"}, "instructions": "sing"})
    )
    error = OpenAIGateway.decode(pump_until(line, 1)[0])
    assert (error.error.code, error.error.event_id) == ("conversation_already_has_active_response", "mine")
    line.send(event("response.create", event_id="again"))
    line.close(timeout_s=LIMIT_S)
    theirs, again = map(json.loads, origin.heard)
    assert theirs == {"type": "response.create", "response": {"instructions": "sing"}}
    assert again["event_id"] == "again"


def test_fragments_below_the_limit_are_one_event_of_an_unknown_type(server, through, dial, pump_until):
    _, flood, after = pump_until(dial(through(server(A), FragmentFlood(300).at_frame(2))), 3)
    assert (len(flood), after) == (300, A)
    assert OpenAIGateway.decode(flood).type == "trunkline.fault"


def test_a_fault_of_a_sent_frame_may_end_the_line(server, through, dial, pump_until):
    for fault, code in ((Reset(), 1006), (Close(1012), 1012)):
        origin = server()
        line = dial(through(origin, fault.at_frame(1, "sent")))
        line.send(A)
        _, closed = pump_until(line, None)
        assert closed.close_code == code
        assert origin.heard == []


# -- wss


@pytest.fixture
def secure_server(raw_server, handshake, wire, tls_contexts):
    def script(plain):
        try:
            with tls_contexts[0].wrap_socket(plain, server_side=True) as sock:
                talk(sock)
        except ssl.SSLError:
            pass  # the client found garbage, and says so in TLS's words

    def talk(sock):
        sock.sendall(handshake.accept(handshake.read(sock)))
        sock.sendall(wire.frame(HELLO))
        while (frame := read_frame(sock, wire)) is not None:
            if frame[0] == wire.CLOSE:
                sock.sendall(wire.frame(frame[1], wire.CLOSE))
                return

    return raw_server(script, tls_contexts[0])


def test_tls_passes_and_its_certificate_still_verifies(
    secure_server, through, dial, tls_contexts, pump_until
):
    line = dial(through(secure_server), ssl_context=tls_contexts[1])
    assert pump_until(line, 1) == [HELLO]
    line.close(timeout_s=LIMIT_S)


@pytest.mark.parametrize("fault", [Reset(), Garbage()], ids=repr)
def test_faults_of_bytes_act_on_tls(secure_server, through, dial, tls_contexts, pump_until, fault):
    for seconds in (0.9, 10.0):  # a machine that is slow may be at the handshake still
        proxy = through(secure_server, fault.after(seconds))
        try:
            messages, closed = pump_until(dial(proxy, ssl_context=tls_contexts[1]), None)
        except ConnectError:
            continue
        if messages:
            break
    assert (messages, closed.close_code) == ([HELLO], 1006)
    proxy.plan.verify()


def test_what_tls_hides_cannot_be_faulted():
    for fault in (Close(1000), NotJson(), CompressedBit(), Duplicate(), NoClose()):
        with pytest.raises(ImpossibleFault, match="TLS hides"):
            FaultProxy("wss://localhost:1/", FaultPlan(fault.at_frame(1)))
    with pytest.raises(InvalidSchedule, match="after"):
        FaultProxy("wss://localhost:1/", FaultPlan(Reset().at_frame(1)))
    with pytest.raises(ImpossibleFault, match="TLS hides"):
        FaultProxy("wss://localhost:1/", FaultPlan(HttpStatus(401).at_connection(1)))


# -- the proxy itself


@pytest.mark.parametrize(
    "url", ["ws://example.com/", "wss://10.0.0.1/x", "ws://8.8.8.8:80/", "http:/", "ftp://localhost/"]
)
def test_only_servers_on_this_machine_are_reached(url):
    with pytest.raises(ConfigError) as refused:
        FaultProxy(url, FaultPlan())
    assert refused.value.field == "target_url"


def test_abort_all_resets_every_connection(server, through, dial, pump_until):
    proxy = through(server())
    lines = [dial(proxy) for _ in range(3)]
    for line in lines:
        assert pump_until(line, 1) == [HELLO]
    assert proxy.connections == 3
    proxy.abort_all()
    for line in lines:
        assert pump_until(line, None)[1].close_code == 1006


def test_a_proxy_that_does_not_run_says_so_and_runs_again():
    proxy = FaultProxy("ws://127.0.0.1:1/", FaultPlan())
    for use in (lambda: proxy.url, proxy.abort_all):
        with pytest.raises(RuntimeError, match="not running"):
            use()
    with proxy, pytest.raises(RuntimeError, match="running already"):
        proxy.start()
    with proxy:
        assert proxy.url.startswith("ws://127.0.0.1:")
    proxy.stop()


@pytest.mark.parametrize(
    "injection",
    [
        HalfOpen().at_frame(1),
        Stall(60).at_frame(1),
        SlowReader(0).at_frame(1),
        EndlessFrame().at_frame(1),
        Drip(1, 5.0).at_frame(1),
        NoClose().at_frame(1),
        SilentUpgrade().at_connection(1),
    ],
    ids=repr,
)
def test_stopping_in_the_middle_of_a_fault_leaves_nothing(server, injection, wire):
    with FaultProxy(server(A).url, FaultPlan(injection)) as proxy:
        if isinstance(injection.fault, SilentUpgrade):
            parts = urlsplit(proxy.url)
            sock = socket.create_connection((parts.hostname, parts.port), LIMIT_S)
        else:
            sock = bare(proxy)
        sock.sendall(wire.frame(A, mask=b"abcd"))
        waited = threading.Event()
        while not proxy.plan.fired:
            waited.wait(0.001)
        assert proxy.connections == 1
        assert "trunkline fault proxy" in [thread.name for thread in threading.enumerate()]
    assert proxy.connections == 0
    with sock:
        try:
            read_to_the_end(sock)
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n", b"x" * 100_000, b"\x16\x03\x01"])
def test_a_client_that_speaks_no_http_harms_nobody(server, through, dial, pump_until, data):
    proxy = through(server())
    parts = urlsplit(proxy.url)
    with socket.create_connection((parts.hostname, parts.port), LIMIT_S) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            read_to_the_end(sock)
        except OSError:
            pass
    assert pump_until(dial(proxy), 1) == [HELLO]


def test_a_client_that_resets_is_reset_at_the_server(server, through, pump_until):
    proxy = through(server(A))
    sock = bare(proxy)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    with connect(proxy.url, proxy=None) as client:
        assert client.recv(LIMIT_S).encode() == HELLO


def test_a_client_that_ends_its_half_still_gets_the_answer(raw_server, handshake, through, wire, monkeypatch):
    monkeypatch.setattr(
        proxy_line, "_GRACE_S", LIMIT_S
    )  # a server on a busy machine may need more than a second

    def script(sock):
        sock.sendall(handshake.accept(handshake.read(sock)))
        while sock.recv(4096):
            pass
        sock.sendall(wire.frame(A))

    sock = bare(through(raw_server(script)))
    with sock:
        sock.shutdown(socket.SHUT_WR)
        assert read_to_the_end(sock).endswith(wire.frame(A))


def test_a_plain_client_that_is_refused_sees_a_connection_that_ends(server, through):
    proxy = through(server(), Refuse().every(1))
    with pytest.raises((InvalidMessage, ConnectionClosed, OSError)):
        connect(proxy.url, proxy=None)
