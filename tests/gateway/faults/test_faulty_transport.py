"""Faults at the transport seam: what the owner of the line sees, message by message, and that its poll loop does not spin."""

import contextlib
import json
import pickle
import select
import threading
import time

import pytest

from trunkline.gateway import LineLimits, OpenAIGateway
from trunkline.gateway.cancellation import Cancellation, cancellable_by
from trunkline.gateway.errors import (
    ConnectCancelled,
    ConnectTimeout,
    HandshakeRefused,
    LineClosed,
    ProtocolError,
    SendBufferFull,
    Unreachable,
)
from trunkline.gateway.faults import (
    ActiveResponseRace,
    Close,
    DoneForUnknown,
    DoneTwice,
    Duplicate,
    FaultPlan,
    FaultyGateway,
    FaultyTransport,
    Garbage,
    HalfOpen,
    HttpStatus,
    ImpossibleFault,
    InvalidUtf8,
    Lose,
    MissingField,
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
)

LIMIT_S = 30.0


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def event(kind, **fields):
    return json.dumps({"type": kind, **fields}).encode()


A, B, C, D = (event("response.output_text.delta", delta=letter) for letter in "abcd")
DONE = event(
    "response.done", event_id="event_1", response={"id": "resp_1", "status": "completed", "output": []}
)


@pytest.fixture
def faulty(open_line):
    """`faulty(*injections, **options)` returns (transport with these faults, peer, plan)."""
    opened = []

    def start(*injections, line=None, **options):
        transport, peer = open_line(**(line or {}))
        plan = FaultPlan(*injections, seed=11)
        opened.append(FaultyTransport(transport, plan, **options))
        return opened[-1], peer, plan

    yield start
    for transport in opened:
        transport.close(timeout_s=0.0)


@pytest.fixture
def exchange(faulty, wire, pump_until):
    """`exchange(injection, *messages, n=...)`: what the owner gets when the server says these; n=None: until the end."""

    def run(injection, *messages, n):
        transport, peer, plan = faulty(injection)
        peer.send(*(wire.frame(message) for message in messages))
        result = pump_until(transport, n)
        plan.verify()
        return result

    return run


def wakings(transport, seconds):
    """Serve a transport for some time as its owner would; return how often poll woke up, and what came."""
    poll, came, n = select.poll(), [], 0
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        poll.register(transport.fileno(), select.POLLIN | (select.POLLOUT if transport.wants_write else 0))
        events = poll.poll(left * 1000)
        if not events:
            break
        n += 1
        if events[0][1] & select.POLLOUT:
            transport.flush()
        if events[0][1] & ~select.POLLOUT:
            transport.pump(lambda view: came.append(bytes(view)))
    return n, came


def take_in(transport):
    """Serve a transport until what the peer has sent is in: it wakes its owner once at least, and then no more."""
    while not wakings(transport, 1.0)[0]:
        pass
    while wakings(transport, 0.05)[0]:
        pass


# -- messages


def test_without_a_fault_everything_passes_as_it_is(faulty, wire, pump_until):
    transport, peer, _ = faulty()
    peer.send(wire.frame(A), wire.frame(B))
    transport.send(C)
    transport.send_audio(D)
    assert pump_until(transport, 2) == [A, B]
    assert [peer.read_frame()[1] for _ in range(2)] == [C, D]
    peer.send(wire.close(1000, "bye"))
    _, closed = pump_until(transport, None)
    assert (closed.close_code, closed.reason) == (1000, "bye")


def test_messages_that_came_with_the_handshake_are_there_at_the_first_pump(faulty, wire, pump_until):
    transport, _, _ = faulty(Duplicate().at_frame(1), line={"follow": wire.frame(A)})
    assert pump_until(transport, 2) == [A, A]


@pytest.mark.parametrize(
    ("injection", "arrives"),
    [
        (Lose().at_frame(2), [A, C, D]),
        (Duplicate().at_frame(2), [A, B, B, C, D]),
        (Reorder().at_frame(2), [A, C, B, D]),
        (Reorder().every(1), [B, A, D, C]),
        (Lose().every(2), [A, C]),
        (NotJson().at_frame(1), [A[: len(A) // 2], B, C, D]),
    ],
    ids=repr,
)
def test_events_are_lost_doubled_swapped_and_cut(exchange, injection, arrives):
    assert exchange(injection, A, B, C, D, n=len(arrives)) == arrives


def test_what_waits_for_the_next_event_waits_on_if_that_is_lost(faulty, wire, pump_until):
    transport, peer, _ = faulty(Reorder().at_frame(1), Lose().at_frame(2))
    peer.send(*(wire.frame(message) for message in (A, B, C)))
    assert pump_until(transport, 2) == [C, A]


def test_a_missing_field_is_gone_and_a_wrong_type_is_wrong(exchange):
    (message,) = exchange(MissingField("response.id").on("response.done"), DONE, n=1)
    assert json.loads(message)["response"] == {"status": "completed", "output": []}
    (message,) = exchange(WrongType("response.id").on("response.done"), DONE, n=1)
    assert json.loads(message)["response"]["id"] == 7
    nothing = event("error", error={"param": None})
    (message,) = exchange(WrongType("error.param").on("error"), nothing, n=1)
    assert json.loads(message)["error"]["param"] == 7
    (message,) = exchange(WrongType("response.output").on("response.done"), DONE, n=1)
    assert json.loads(message)["response"]["output"] == "7"


def test_a_field_that_is_not_there_leaves_the_frame_alone_and_the_plan_unmet(faulty, wire, pump_until):
    transport, peer, plan = faulty(
        MissingField("response.nothing").at_frame(1), WrongType("delta.x").at_frame(1)
    )
    peer.send(wire.frame(A))
    assert pump_until(transport, 1) == [A]
    with pytest.raises(AssertionError, match=r"MissingField.*WrongType.*seed 11"):
        plan.verify()


def test_a_field_in_a_list_is_found_by_its_number(exchange):
    items = event("response.done", response={"output": [{"id": "x"}, {"id": "y"}]})
    (message,) = exchange(MissingField("response.output.1.id").at_frame(1), items, n=1)
    assert json.loads(message)["response"]["output"] == [{"id": "x"}, {}]


def test_invalid_utf8_and_garbage_arrive_as_messages_and_the_gateway_s_decoder_refuses_them(exchange):
    decode = OpenAIGateway.decode
    (message,) = exchange(InvalidUtf8().at_frame(1), A, n=1)
    with pytest.raises(UnicodeDecodeError):
        message.decode()
    with pytest.raises(ProtocolError):
        decode(message)
    garbage, whole = exchange(Garbage(40).at_frame(1), A, n=2)
    assert (len(garbage), whole) == (40, A)
    assert exchange(Garbage(40).at_frame(1), A, n=2)[0] == garbage, "the same seed, other bytes"


def test_an_oversized_message_is_an_event_of_an_unknown_type_in_front_of_the_frame(exchange):
    big, whole = exchange(OversizedFrame(100_000).at_frame(1), A, n=2)
    assert (len(big), whole) == (100_000, A)
    assert OpenAIGateway.decode(big).type == json.loads(big)["type"]


def test_a_response_is_done_twice_with_two_event_ids(exchange):
    first, second = map(json.loads, exchange(DoneTwice().at_frame(1), A, DONE, n=3)[1:])
    assert first["response"] == second["response"]
    assert first["event_id"] != second["event_id"]


def test_a_response_that_nobody_knows_is_done(exchange):
    unknown, known = exchange(DoneForUnknown().on("response.done"), DONE, n=2)
    assert known == DONE
    assert OpenAIGateway.decode(unknown).response.id not in (None, "resp_1")


def test_a_rate_limit_is_a_failed_response(exchange):
    (message,) = exchange(RateLimit().at_frame(1), DONE, n=1)
    response = OpenAIGateway.decode(message).response
    assert (response.id, response.status) == ("resp_1", "failed")
    assert response.status_details.error.code == "rate_limit_exceeded"


def test_an_active_response_is_in_the_way_of_a_create(faulty, wire, pump_until):
    transport, peer, plan = faulty(ActiveResponseRace().at_frame(1))
    transport.send(event("response.create", event_id="mine", response={"metadata": {"a": "b"}}))
    assert json.loads(peer.read_frame()[1]) == {"type": "response.create", "response": {}}
    error = OpenAIGateway.decode(pump_until(transport, 1)[0])
    assert (error.error.code, error.error.event_id) == ("conversation_already_has_active_response", "mine")
    plan.verify()


@pytest.mark.parametrize(
    ("injection", "arrives"),
    [
        (Lose().at_frame(2, "sent"), [A, C, D]),
        (Duplicate().at_frame(2, "sent"), [A, B, B, C, D]),
        (Reorder().at_frame(2, "sent"), [A, C, B, D]),
    ],
    ids=repr,
)
def test_what_is_sent_can_be_lost_doubled_and_swapped_too(faulty, injection, arrives):
    transport, peer, _ = faulty(injection)
    for message in (A, B, C, D):
        transport.send(message)
    assert [peer.read_frame()[1] for _ in arrives] == arrives


def test_several_faults_of_one_frame_act_together(faulty, wire, pump_until):
    transport, peer, plan = faulty(Duplicate().at_frame(1), DoneForUnknown().at_frame(1), Lose().at_frame(2))
    peer.send(wire.frame(A), wire.frame(B), wire.frame(C))
    unknown, *rest = pump_until(transport, 4)
    assert json.loads(unknown)["type"] == "response.done"
    assert rest == [A, A, C]
    plan.verify()


# -- the end of the line


@pytest.mark.parametrize(
    ("fault", "code", "recoverable", "says"),
    [
        (Reset(), 1006, True, "fault Reset() of connection 1, seed 11"),
        (Close(1000, "bye"), 1000, False, "bye"),
        (Close(1011), 1011, True, ""),
        (Close(4000, "invalid_request_error.invalid_model"), 4000, False, "invalid_model"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("together", [True, False])
def test_the_line_ends_instead_of_the_frame_after_all_that_came_before(
    faulty, wire, pump_until, fault, code, recoverable, says, together
):
    transport, peer, plan = faulty(fault.at_frame(3))
    if together:
        peer.send(*(wire.frame(message) for message in (A, B, C, D)))
    else:
        peer.send(wire.frame(A), wire.frame(B))
        threading.Timer(0.05, lambda: peer.send(wire.frame(C))).start()
    messages, closed = pump_until(transport, None)
    assert messages == [A, B]
    assert (closed.close_code, closed.recoverable) == (code, recoverable)
    assert says in closed.reason
    assert transport.fileno() >= 0, "the number stays ours until close"
    for again in (lambda: transport.pump(print), lambda: transport.send(A), transport.flush):
        with pytest.raises(LineClosed) as second:
            again()
        assert second.value.close_code == code
    with pytest.raises(EOFError):
        peer.read(1)  # the server notices as well
    plan.verify()


def test_an_expired_session_says_so_and_closes(exchange):
    (error,), closed = exchange(SessionExpired().at_frame(1), A, n=None)
    assert OpenAIGateway.decode(error).error.code == "session_expired"
    assert closed.close_code == 1001
    assert closed.recoverable


def test_a_reset_at_something_sent_is_noticed_by_the_next_pump(faulty, pump_until):
    transport, _, _ = faulty(Reset().at_frame(1, "sent"))
    transport.send(A)
    transport.send(B)
    messages, closed = pump_until(transport, None)
    assert (messages, closed.close_code) == ([], 1006)


def test_a_fault_of_a_silent_line_comes_with_service_in_time(faulty, pump_until):
    clock = Clock()
    transport, _, plan = faulty(Close(1001).after(3.0), clock=clock)
    assert transport.service(clock.now) == clock.now + 3.0
    clock.now += 3.0
    transport.service(clock.now)
    assert pump_until(transport, None)[1].close_code == 1001
    plan.verify()


def test_the_server_s_own_close_comes_through(faulty, wire, pump_until):
    transport, peer, _ = faulty(Duplicate().at_frame(1))
    peer.send(wire.frame(A), wire.close(4001, "own"))
    messages, closed = pump_until(transport, None)
    assert (messages, closed.close_code, closed.reason) == ([A, A], 4001, "own")


# -- stalls, and a poll loop that must not spin


def test_a_stalled_line_does_not_wake_its_owner_and_then_everything_comes_in_order(faulty, wire, pump_until):
    transport, peer, plan = faulty(Stall(3.0).at_frame(2))
    fd = transport.fileno()
    peer.send(wire.frame(A), wire.frame(B))
    assert pump_until(transport, 1) == [A]
    peer.send(wire.frame(C))
    transport.send(D)
    assert transport.wants_write
    n, came = wakings(transport, 0.2)
    assert (n, came) == (0, []), "the owner was woken during the stall"
    assert transport.fileno() == fd
    assert pump_until(transport, 2) == [B, C]
    assert peer.read_frame()[1] == D
    assert not transport.wants_write
    plan.verify()


def test_a_half_open_line_never_wakes_its_owner_and_ends_by_missed_pongs(faulty, wire, pump_until):
    clock = Clock()
    transport, peer, _ = faulty(HalfOpen().at_frame(2), clock=clock)
    peer.send(wire.frame(A), wire.frame(B), wire.close(1000))
    peer.close()
    assert pump_until(transport, 1) == [A]
    assert wakings(transport, 0.1) == (0, [])
    while (due := transport.service(clock.now)) < clock.now + 100:
        clock.now = due
        if clock.now >= 1040:
            break
    with pytest.raises(LineClosed) as closed:
        transport.service(clock.now)
    assert (clock.now, closed.value.close_code) == (1040.0, 1011)


def test_the_pongs_of_a_half_open_line_are_missed_from_the_fault_on_however_late_its_owner_looks(
    faulty, wire
):
    clock = Clock()
    transport, peer, _ = faulty(HalfOpen().at_frame(1), clock=clock)
    peer.send(wire.frame(A))
    take_in(transport)
    clock.now += 15.0  # as an owner does who was told before the fault when to look again
    assert transport.service(clock.now) == 1020.0


def test_a_half_open_line_is_not_read_so_that_the_server_has_to_wait(faulty, wire):
    transport, peer, _ = faulty(HalfOpen().at_frame(1))
    peer.send(wire.frame(A))
    take_in(transport)
    peer.sock.setblocking(False)

    def fill():
        n = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                n += peer.sock.send(b"x" * 65536)
        return n

    full = 0
    while full < 5:  # the kernel's buffers: they may find room once more when it acknowledges late
        full = 0 if fill() else full + 1
        threading.Event().wait(0.05)
    for _ in range(200):
        transport.pump(print)
    assert fill() < 1_000_000, "it was read: 200 reads make more room than the kernel finds by itself"


def test_a_half_open_line_takes_no_data_and_ends_by_that_first(faulty, wire, pump_until):
    clock = Clock()
    transport, peer, _ = faulty(HalfOpen().at_frame(1), clock=clock)
    peer.send(wire.frame(A))
    take_in(transport)
    transport.send(B)
    assert transport.wants_write
    assert transport.service(clock.now) == clock.now + 10.0
    clock.now += 10.0
    with pytest.raises(LineClosed) as closed:
        transport.service(clock.now)
    assert (closed.value.close_code, closed.value.reason) == (1006, "the socket takes no data")


def test_a_server_that_reads_slowly_gets_it_at_its_pace_without_waking_the_owner_for_nothing(faulty):
    transport, peer, plan = faulty(SlowReader(2000).at_frame(1))
    began = time.monotonic()
    for _ in range(6):
        transport.send_audio(b"x" * 100)
    assert transport.wants_write
    n = 0
    while transport.wants_write and time.monotonic() - began < LIMIT_S:
        n += wakings(transport, 0.1)[0]
    assert not transport.wants_write
    assert n <= 12, "two per message at most: its time has come, and the alarm of the next"
    assert [peer.read_frame()[1] for _ in range(6)] == [b"x" * 100] * 6
    assert time.monotonic() - began > 0.29, "600 bytes at 2000 bytes per second"
    plan.verify()


def test_a_server_that_never_reads_makes_audio_refused_but_control_never(faulty):
    clock = Clock()
    transport, _, _ = faulty(
        SlowReader(0).at_frame(1), clock=clock, limits=LineLimits(send_buffer_bytes=1000)
    )
    transport.send_audio(b"x" * 900)
    with pytest.raises(SendBufferFull):
        transport.send_audio(b"x" * 101)
    transport.send(b"y" * 5000)
    assert wakings(transport, 0.1) == (0, [])
    transport.service(clock.now)
    clock.now += 10.0
    with pytest.raises(LineClosed, match="takes no data"):
        transport.service(clock.now)


def test_a_frame_over_the_bound_passes_when_nothing_waits(faulty):
    transport, peer, _ = faulty(Lose().at_frame(1, "sent"), limits=LineLimits(send_buffer_bytes=10))
    transport.send_audio(A)
    transport.send_audio(b"x" * 100)
    assert peer.read_frame()[1] == b"x" * 100


def test_the_limits_of_the_line_count_while_a_fault_keeps_it_silent(faulty, wire):
    clock = Clock()
    limits = LineLimits(ping_interval_s=3.0, pong_timeout_s=4.0, stall_timeout_s=5.0)
    transport, peer, _ = faulty(HalfOpen().at_frame(1), clock=clock, limits=limits)
    peer.send(wire.frame(A))
    take_in(transport)
    assert transport.service(clock.now) == 1003.0
    transport.send(B)
    assert transport.service(1003.0) == 1006.0  # the next ping; the pong is due at 1007
    with pytest.raises(LineClosed, match="answered no ping"):
        transport.service(1007.0)

    transport, _, _ = faulty(SlowReader(0).at_frame(1), clock=clock, limits=limits)
    transport.send(B)
    transport.service(1000.0)
    with pytest.raises(LineClosed, match="takes no data"):
        transport.service(1005.0)


def test_a_short_stall_does_not_end_a_long_one(faulty):
    clock = Clock()
    stalls = (Stall(9.0).at_frame(1, "sent"), Stall(1.0).at_frame(2, "sent"))
    transport, peer, _ = faulty(*stalls, clock=clock)
    transport.send(A)
    transport.send(B)
    clock.now += 8.0
    transport.flush()
    assert transport.wants_write
    clock.now += 2.0
    transport.flush()
    assert [peer.read_frame()[1] for _ in range(2)] == [A, B]


def test_control_passes_waiting_audio(faulty):
    transport, peer, _ = faulty(Stall(1.0).at_frame(1, "sent"))
    transport.send_audio(A)
    transport.send_audio(B)
    transport.send(C)
    while transport.wants_write:
        wakings(transport, 0.1)
    assert [peer.read_frame()[1] for _ in range(3)] == [C, A, B]


def test_more_than_the_inner_buffer_holds_goes_out_after_a_stall_without_spinning(faulty):
    transport, peer, _ = faulty(
        Stall(0.05).at_frame(1, "sent"),
        line={"receive_buffer": 65536, "send_buffer_bytes": 600_000},
        limits=LineLimits(send_buffer_bytes=1 << 30),
    )
    frames = [b"%02d" % n + b"x" * 500_000 for n in range(16)]
    for frame in frames:
        transport.send_audio(frame)
    got, done = [], threading.Event()

    def read():
        for _ in frames:
            got.append(peer.read_frame()[1])
        done.set()

    assert wakings(transport, 0.3)[0] < 50, "a full socket wakes nobody"
    assert transport.wants_write
    frames.append(A)
    transport.send_audio(A)  # behind what the stall has held back, though the stall is over
    reader = threading.Thread(target=read)
    reader.start()
    until = time.monotonic() + LIMIT_S
    while not done.is_set() and time.monotonic() < until:
        wakings(transport, 0.05)
    assert done.is_set(), f"{len(got)} of {len(frames)} frames came"
    reader.join(LIMIT_S)
    assert got == frames


def test_an_abort_wakes_the_owner_of_a_frozen_line(faulty, wire, pump_until):
    transport, peer, _ = faulty(HalfOpen().at_frame(1))
    peer.send(wire.frame(A))
    take_in(transport)
    threading.Timer(0.05, transport.abort).start()
    messages, closed = pump_until(transport, None)
    assert (messages, closed.close_code) == ([], 1006)


# -- closing


def test_close_is_heard_by_the_server_and_answered(faulty, wire):
    transport, peer, _ = faulty(Lose().at_frame(9))
    transport.send(A)
    closer = threading.Thread(target=transport.close, args=(1000, "bye"))
    closer.start()
    assert peer.read_frame()[1] == A
    assert peer.read_frame() == (0x88, b"\x03\xe8bye")
    peer.send(wire.close(1000))
    closer.join(LIMIT_S)
    assert transport.fileno() == -1
    transport.close()
    with pytest.raises(LineClosed):
        transport.pump(print)


def test_closing_a_half_open_line_takes_the_time_it_is_given_and_no_more(faulty, wire):
    transport, peer, _ = faulty(HalfOpen().at_frame(1))
    peer.send(wire.frame(A))
    take_in(transport)
    began = time.monotonic()
    transport.close(timeout_s=0.2)
    assert time.monotonic() - began >= 0.2
    with pytest.raises(EOFError):
        peer.read(1)


def test_closing_a_stalled_line_waits_for_the_stall_and_flushes(faulty, wire):
    transport, peer, _ = faulty(Stall(0.1).at_frame(1, "sent"))
    transport.send(A)
    closer = threading.Thread(target=transport.close, kwargs={"timeout_s": LIMIT_S})
    closer.start()
    assert peer.read_frame()[1] == A
    assert peer.read_frame()[0] == 0x88
    peer.send(wire.close(1000))
    closer.join(LIMIT_S)
    assert not closer.is_alive()


def test_a_handler_that_closes_gets_no_further_message(faulty, wire):
    transport, peer, _ = faulty(Duplicate().every(1))
    peer.send(wire.frame(A), wire.frame(B))
    got = []

    def handle(view):
        got.append(bytes(view))
        transport.close(timeout_s=0.0)

    while not got:
        transport.pump(handle)
    assert got == [A]


def test_a_handler_that_raises_loses_one_message_and_the_next_pump_goes_on(faulty, wire, pump_until):
    transport, peer, _ = faulty(Duplicate().at_frame(1))
    peer.send(wire.frame(A), wire.frame(B))

    def fail(_):
        raise RuntimeError("mine")

    def pump_until_it_fails():
        while True:
            transport.pump(fail)

    with pytest.raises(RuntimeError, match="mine"):
        pump_until_it_fails()
    assert pump_until(transport, 2) == [A, B]


# -- connecting


def test_connect_faults_are_the_errors_of_a_real_connect():
    plan = FaultPlan(
        Refuse().at_connection(1),
        HttpStatus(429, retry_after_s=7).at_connection(2),
        HttpStatus(401).at_connection(3),
        SilentUpgrade().at_connection(4),
        seed=11,
    )
    gateway = FaultyGateway(OpenAIGateway("sk-test", "ws://127.0.0.1:1/v1/realtime"), plan)
    with pytest.raises(Unreachable, match="seed 11") as refused:
        gateway.connect("m", timeout_s=1.0)
    assert refused.value.recoverable
    with pytest.raises(HandshakeRefused) as limited:
        gateway.connect("m", timeout_s=1.0)
    assert (limited.value.status, limited.value.retry_after_s, limited.value.recoverable) == (429, 7, True)
    with pytest.raises(HandshakeRefused) as unauthorized:
        gateway.connect("m", timeout_s=1.0)
    assert (unauthorized.value.status, unauthorized.value.recoverable) == (401, False)
    with pytest.raises(ConnectTimeout):
        gateway.connect("m", timeout_s=0.05)
    plan.verify()


def test_a_silent_upgrade_can_be_called_off():
    gateway = FaultyGateway(
        OpenAIGateway("sk-test", "ws://127.0.0.1:1/v1/realtime"), FaultPlan(SilentUpgrade().every(1))
    )
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.cancel).start()
    with cancellable_by(cancellation), pytest.raises(ConnectCancelled):
        gateway.connect("m", timeout_s=1000.0)


def test_after_counts_from_the_open_line_and_not_from_the_attempt(open_line):
    clock = Clock()

    class Slow(OpenAIGateway):
        def connect(self, model, *, timeout_s):
            clock.now += 50.0
            return open_line()[0]

    gateway = FaultyGateway(Slow("sk-test", "ws://127.0.0.1:1/"), FaultPlan(Reset().after(3.0)), clock=clock)
    line = gateway.connect("m", timeout_s=1.0)
    assert line.service(clock.now) == clock.now + 3.0
    line.close(timeout_s=0.0)


def test_a_faulty_gateway_pickles_with_a_fresh_plan():
    plan = FaultPlan(Refuse().at_connection(1), seed=3)
    gateway = FaultyGateway(OpenAIGateway("sk-test", "ws://127.0.0.1:1/v1/realtime"), plan)
    with pytest.raises(Unreachable):
        gateway.connect("m", timeout_s=1.0)
    copy = pickle.loads(pickle.dumps(gateway))
    assert copy.plan == plan
    assert copy.plan.fired == ()
    assert "sk-test" not in repr(gateway)


def test_a_fault_of_the_connecting_is_refused_by_a_transport_that_is_open(open_line):
    transport, _ = open_line()
    with pytest.raises(ImpossibleFault, match="FaultyGateway"):
        FaultyTransport(transport, FaultPlan(Refuse().at_connection(1)))
